"""CLOCK_RECONCILIATION: causal order from hybrid stamps, and the clock that is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder, Evidence, StampedEvent
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.protocols.conflict.causal_order import (
    ClockReconciliation,
    causal_order,
    drifting_clocks,
    inversions,
)
from tests.unit.protocols.conflict.rounds import Agent, asked, run


def event(id_: str, agent: str, ms: int, *causes: str) -> StampedEvent:
    return StampedEvent(id_, agent, pack_stamp(ms, 0), causes)


def answering(*events: StampedEvent, offset_ms: float | None = None, resyncs: bool = True) -> Agent:
    def answer(order: ConflictOrder) -> Evidence | None:
        if order.ask == "events":
            return Evidence(events=events, offset_ms=offset_ms)
        return Evidence(done=resyncs)

    return answer


# b hears from a and from c, and is stamped before both: its clock is behind.
STORY = (
    event("1", "a", 1_000),
    event("2", "c", 1_010),
    event("3", "b", 900, "1", "2"),
    event("4", "a", 1_020, "3"),
)


def test_the_order_follows_causes_and_stamps_only_where_there_are_none() -> None:
    assert causal_order(STORY) == (["1", "2", "3", "4"], [])
    assert causal_order([event("x", "a", 5), event("y", "a", 3)]) == (["y", "x"], [])


def test_a_circle_and_what_is_behind_it_has_no_order() -> None:
    events = [event("1", "a", 1, "2"), event("2", "b", 2, "1"), event("3", "a", 3, "2"), event("4", "a", 0)]
    assert causal_order(events) == (["4"], ["1", "2", "3"])


def test_inversions_say_by_how_much_two_clocks_differ_at_least() -> None:
    found = inversions(STORY)
    assert [(one.cause, one.effect, one.by_ms) for one in found] == [("1", "3", 100), ("2", "3", 110)]


def test_equal_stamps_are_inverted_too() -> None:
    assert len(inversions([event("1", "a", 5), event("2", "b", 5, "1")])) == 1


def test_the_agent_that_is_part_of_most_inversions_is_named() -> None:
    assert drifting_clocks(inversions(STORY), {}) == ("b",)


def test_one_inversion_blames_both_unless_one_measured_its_clock() -> None:
    pair = inversions([event("1", "a", 1_000), event("2", "b", 900, "1")])
    assert drifting_clocks(pair, {}) == ("a", "b")
    assert drifting_clocks(pair, {"a": 1.0, "b": -99.0}) == ("b",)
    assert drifting_clocks(pair, {"a": 120.0}) == ("a",)


def test_two_wrong_clocks_far_apart_are_both_named() -> None:
    events = [event("1", "a", 1_000), event("2", "c", 1_000), event("3", "b", 900, "1", "2")]
    events += [event("4", "d", 1_000), event("5", "e", 1_000), event("6", "f", 900, "4", "5")]
    assert drifting_clocks(inversions(events), {}) == ("b", "f")


def test_the_drifting_clock_is_measured_anew_and_the_order_is_the_outcome() -> None:
    agents = {"a": answering(STORY[0], STORY[3]), "b": answering(STORY[2]), "c": answering(STORY[1])}
    verdict, given = run(ClockReconciliation("k", ("a", "b", "c")), agents)
    assert verdict.is_settled
    assert verdict.cleared == ("b",)
    assert verdict.winner == "1 < 2 < 3 < 4"
    assert asked(given)[-1] == ("resync", ("b",))


def test_events_of_the_report_are_enough_where_agents_keep_none() -> None:
    agents = {name: answering() for name in "abc"}
    verdict, _ = run(ClockReconciliation("k", ("b",), STORY), agents)
    assert verdict.is_settled


def test_clocks_that_cannot_be_told_apart_are_for_a_person() -> None:
    story = (event("1", "a", 1_000), event("2", "b", 900, "1"))
    agents = {"a": answering(story[0]), "b": answering(story[1])}
    strategy = ClockReconciliation("k", ("a", "b"))
    verdict, given = run(strategy, agents)
    assert not verdict.is_settled
    assert verdict.left == ("a", "b")
    assert len(given) == 1
    with pytest.raises(InvalidArgument):
        strategy.decide("z")
    verdict, given = run(strategy, agents, step=strategy.decide("a"))
    assert verdict.is_settled
    assert asked(given) == [("resync", ("a",))]


def test_a_circle_no_event_and_a_deaf_clock_are_for_a_person() -> None:
    circle = answering(event("1", "a", 1, "2"), event("2", "b", 2, "1"))
    assert run(ClockReconciliation("k", ("a",)), {"a": circle})[0].left == ("1", "2")
    assert not run(ClockReconciliation("k", ("a",)), {})[0].is_settled
    agents = {"a": answering(), "b": answering(resyncs=False), "c": answering()}
    assert run(ClockReconciliation("k", ("b",), STORY), agents)[0].blamed == ("b",)


def test_events_in_order_settle_it_at_once() -> None:
    verdict, given = run(ClockReconciliation("k", ("a",)), {"a": answering(event("1", "a", 1))})
    assert verdict.is_settled
    assert len(given) == 1


@given(st.data())
def test_the_one_clock_that_was_shifted_is_the_one_that_is_named(data: st.DataObject) -> None:
    """Everybody hears from everybody else, true clocks otherwise; one is behind by more than the whole story."""
    names = data.draw(st.permutations("abcd"))
    wrong = data.draw(st.sampled_from("abcd"))
    events: list[StampedEvent] = []
    last: dict[str, str] = {}
    for number, name in enumerate(names * 3):
        ms = 10_000 + 10 * number - (5_000 if name == wrong else 0)
        events.append(event(str(number), name, ms, *last.values()))
        last[name] = str(number)
    assert drifting_clocks(inversions(events), {}) == (wrong,)
    order, circle = causal_order(events)
    assert [int(one) for one in order] == list(range(12))
    assert not circle
