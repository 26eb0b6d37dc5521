"""Frames are heard once and in order, whatever the way does to them; what is missing is known by number."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.model.fleet_frame import FleetFrame, decode_fleet_frame, encode_fleet_frame
from ohmesh.model.fleet_message import Join
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.protocols.delivery.inbox import MISSING_TOLD, Inbox
from ohmesh.protocols.delivery.outbox import Outbox, OutboxConfig

FLOW = "mesh.m.s.0.c.0.hb"


def frame(sequence: int, oldest: int = 1, term: int = 1) -> FleetFrame:
    return FleetFrame(FRAME_VERSION, "host", term, 0, [], sequence, oldest)


def take_all(inbox: Inbox, frames: Iterable[FleetFrame]) -> list[int]:
    return [one.sequence for each in frames for one in inbox.take(each).frames]


def test_frames_are_given_in_their_order_and_once() -> None:
    inbox = Inbox("host", FLOW)
    assert take_all(inbox, map(frame, [2, 1, 2, 4, 4, 1, 3, 5])) == [1, 2, 3, 4, 5]


def test_a_gap_a_duplicate_and_an_earlier_life_are_noticed() -> None:
    inbox = Inbox("host", FLOW)
    assert inbox.take(frame(3)).is_gap
    assert inbox.take(frame(3)).duplicates == 1
    assert (inbox.heard().through, inbox.heard().highest, inbox.heard().missing) == (0, 3, (1, 2))
    assert inbox.take(frame(1, term=0)).is_stale
    assert not inbox.take(frame(2)).frames
    done = inbox.take(frame(1))
    assert ([one.sequence for one in done.frames], done.is_gap) == ([1, 2, 3], False)
    assert inbox.take(frame(2)).duplicates == 1


def test_what_its_sender_gave_up_is_not_waited_for_and_counted() -> None:
    inbox = Inbox("host", FLOW)
    take_all(inbox, [frame(1), frame(4)])
    taken = inbox.take(frame(7, oldest=6))
    assert ([one.sequence for one in taken.frames], taken.lost, taken.is_gap) == ([4], 3, True)
    assert take_all(inbox, [frame(6, oldest=6)]) == [6, 7]


def test_a_reader_that_comes_later_begins_where_the_sender_still_keeps() -> None:
    assert take_all(Inbox("host", FLOW), [frame(501, oldest=500), frame(500, oldest=500)]) == [500, 501]


def test_a_sender_that_keeps_nothing_is_heard_as_it_comes() -> None:
    inbox = Inbox("host", FLOW)
    assert take_all(
        inbox, [frame(0, 0), frame(3, 0), frame(0, 0), frame(5, 0), frame(5, 0), frame(4, 0)]
    ) == [
        0,
        3,
        0,
        5,
    ]


def test_another_life_begins_at_one() -> None:
    inbox = Inbox("host", FLOW)
    take_all(inbox, [frame(1), frame(3)])
    assert take_all(inbox, [frame(2, term=2), frame(1, term=2), frame(2, term=1)]) == [1, 2]
    assert inbox.heard().term == 2


def test_what_waits_is_bounded_and_comes_again() -> None:
    inbox = Inbox("host", FLOW, waiting_frames=2)
    assert take_all(inbox, map(frame, [2, 3, 4])) == []
    assert take_all(inbox, [frame(1)]) == [1, 2, 3]
    assert inbox.heard().through == 3
    assert take_all(inbox, [frame(4)]) == [4]


def test_of_many_missing_ones_the_first_are_told_and_nothing_is_said_of_later_ones() -> None:
    inbox = Inbox("host", FLOW)
    inbox.take(frame(10 * MISSING_TOLD))
    said = inbox.heard()
    assert said.missing == tuple(range(1, MISSING_TOLD + 1))
    assert said.highest == MISSING_TOLD


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.floats(0, 0.3), st.integers(1, 80))
def test_over_a_way_that_loses_repeats_and_reorders_everything_is_heard_once_in_order(
    seed: int, loss: float, repeats: float, count: int
) -> None:
    rng = random.Random(seed)
    outbox = Outbox("host", 1, FLOW, OutboxConfig(frames=16))
    inbox = Inbox("host", FLOW, waiting_frames=8)
    travelling: list[bytes] = []
    heard: list[str] = []
    said = 0

    def encode(sequence: int, oldest: int) -> bytes:
        return encode_fleet_frame(
            FleetFrame(FRAME_VERSION, "host", 1, 0, [Join(f"agent {said}", "A")], sequence, oldest)
        )

    def send(frames: Iterable[bytes]) -> None:
        for one in frames:
            travelling.extend([one] * ((rng.random() >= loss) + (rng.random() < repeats)))

    now_us = 0
    while len(heard) < count:
        now_us += 100_000
        assert now_us < 10**9, f"only {len(heard)} of {count} were heard"
        while said < count and len(outbox) < 16 and rng.random() < 0.7:
            send([outbox.add(encode, now_us)])
            said += 1
        send(outbox.due(now_us))
        while travelling and rng.random() < 0.9:
            taken = inbox.take(decode_fleet_frame(travelling.pop(rng.randrange(len(travelling)))))
            assert taken.lost == 0
            heard += [body.agent for one in taken.frames for body in one.bodies if isinstance(body, Join)]
        if rng.random() >= loss:
            answer = outbox.hear(inbox.heard(), now_us)
            assert not answer.wants_word
            send(answer.frames)
    assert heard == [f"agent {number}" for number in range(count)]
