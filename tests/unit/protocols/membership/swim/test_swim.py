"""What one member says to each thing that it hears."""

from __future__ import annotations

import random

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.membership.swim.messages import (
    Ack,
    Alive,
    Dead,
    Known,
    Message,
    Nack,
    News,
    Packet,
    Ping,
    PingFor,
    Standing,
    Suspect,
    View,
    news_bytes,
)
from ohmesh.protocols.membership.swim.settings import LAN
from ohmesh.protocols.membership.swim.swim import Swim


def swim(*others: str) -> Swim:
    """Named a, at an address of the same name in capitals, as all are."""
    member = Swim(Alive("a", 1, "A"), LAN, random.Random(1).randrange)
    for other in others:
        member.learn(Alive(other, 1, other.upper()), 0)
    member.take()
    member.take_changes()
    return member


def messages(member: Swim) -> list[tuple[str, Message]]:
    return [(each.to, each.message) for each in member.take() if each.message is not None]


def first_ping(member: Swim) -> tuple[float, tuple[str, Ping]]:
    """When it asks for the first time, and whom."""
    now_ms = 0.0
    while True:
        member.tick(now_ms)
        for to, message in messages(member):
            if isinstance(message, Ping):
                return now_ms, (to, message)
        now_ms += 1.0


def news(member: Swim, now_ms: float = 1000.0) -> set[News]:
    """All that it tells along."""
    member.tick(now_ms)
    return {each for packet in member.take() for each in packet.news}


def test_a_ping_is_answered_and_one_for_who_lived_here_before_is_not() -> None:
    member = swim("b")
    member.receive(Packet("A", Ping(7, "a", "B")), 0)
    member.receive(Packet("A", Ping(8, "somebody else", "B")), 0)
    assert messages(member) == [("B", Ack(7, "a"))]


def test_who_does_not_answer_is_asked_through_others_and_then_suspected() -> None:
    member = swim("b", "c")
    begun_ms, (asked, ping) = first_ping(member)
    member.tick(begun_ms + LAN.timeout_ms)
    (helper, request), *_ = messages(member)
    assert isinstance(request, PingFor)
    assert {asked, helper} == {"B", "C"}
    member.tick(begun_ms + LAN.period_ms)
    assert member.standing(ping.target) is Standing.SUSPECT


def test_an_answer_through_others_counts() -> None:
    member = swim("b", "c")
    begun_ms, (_, ping) = first_ping(member)
    member.tick(begun_ms + LAN.timeout_ms)
    member.receive(Packet("A", Ack(ping.number, ping.target)), begun_ms + 700)
    member.tick(begun_ms + LAN.period_ms)
    assert member.standing(ping.target) is Standing.ALIVE


def test_it_asks_for_others_and_says_so_when_it_hears_nothing() -> None:
    member = swim("b", "c")
    member.receive(Packet("A", PingFor(9, "c", "C", "B")), 0)
    ((to, ping),) = messages(member)
    assert to == "C"
    assert isinstance(ping, Ping)
    member.tick(LAN.timeout_ms - 1)
    assert ("B", Nack(9, "a")) in messages(member)
    member.receive(Packet("A", Ack(ping.number, "c")), 600)
    assert messages(member) == [("B", Ack(9, "c"))]


@pytest.mark.parametrize("accusation", [Suspect("a", 1, "b"), Dead("a", 3, "b")])
def test_it_refutes_what_is_said_of_it_by_a_higher_incarnation(accusation: Suspect | Dead) -> None:
    member = swim("b")
    member.learn(accusation, 10)
    assert member.incarnation == accusation.incarnation + 1
    assert Alive("a", member.incarnation, "A") in news(member)
    assert member.awareness.score == 1


def test_an_older_word_changes_nothing() -> None:
    member = swim("b")
    member.learn(Alive("b", 5, "B"), 0)
    member.learn(Suspect("b", 4, "c"), 0)
    assert member.standing("b") is Standing.ALIVE


def test_a_higher_incarnation_takes_suspicion_and_death_back() -> None:
    member = swim("b", "c")
    member.learn(Dead("b", 1, "c"), 0)
    member.learn(Alive("b", 1, "B"), 1)
    standings = [member.standing("b")]
    member.learn(Alive("b", 2, "B"), 1)
    assert [*standings, member.standing("b")] == [Standing.DEAD, Standing.ALIVE]


def test_who_says_of_itself_that_it_is_dead_has_left() -> None:
    member = swim("b")
    member.learn(Dead("b", 1, "b"), 0)
    assert member.standing("b") is Standing.LEFT


def test_who_others_hold_for_dead_is_suspected_first() -> None:
    member = swim("b", "c")
    rows = (Known("b", 1, "B", b"", Standing.DEAD), Known("c", 1, "C", b"", Standing.ALIVE))
    member.receive(Packet("A", View("c", rows, False)), 0)
    assert member.standing("b") is Standing.SUSPECT


def test_a_question_about_the_view_is_answered_with_ours() -> None:
    member = swim()
    row = Known("b", 1, "B", b"", Standing.ALIVE)
    member.receive(Packet("A", View("b", (row,), True)), 0)
    ((to, answer),) = messages(member)
    assert to == "B"
    assert isinstance(answer, View)
    assert {each.member for each in answer.rows} == {"a", "b"}


def test_who_restarts_hears_of_its_earlier_life_and_goes_above_it() -> None:
    elder, restarted = swim("b"), Swim(Alive("b", 1, "B"), LAN, lambda _: 0)
    elder.learn(Dead("b", 4, "a"), 0)
    restarted.join(["A"])
    (question,) = restarted.take()
    elder.receive(question, 5)
    (answer,) = elder.take()
    restarted.receive(answer, 6)
    for each in news(restarted):
        elder.learn(each, 7)
    assert elder.standing("b") is Standing.ALIVE
    assert restarted.incarnation == 5


def test_too_much_to_say_of_oneself_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most 512 fit"):
        Swim(Alive("a", 1, "A", bytes(513)), LAN, lambda _: 0)


def test_a_packet_keeps_its_bound() -> None:
    member = swim(*(f"member-{number:04}" for number in range(200)))
    member.tick(1000)
    told = [packet for packet in member.take() if packet.news]
    assert told
    for packet in told:
        assert sum(news_bytes(each) for each in packet.news) <= LAN.packet_bytes
