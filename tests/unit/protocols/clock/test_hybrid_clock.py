"""Hybrid stamps: causes before effects whatever the clocks do, near to real time, and no faith in the far future."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.hybrid_time import MAX_COUNTER, pack_stamp, unpack_stamp
from ohmesh.protocols.clock.hybrid_clock import HybridClock

NODES = 4
# Each event: who acts, how far its clock moves (it may be set back), and from whom it hears a message, if from anybody.
EVENTS = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(-30, 50), st.none() | st.integers(0, NODES - 1)),
    max_size=60,
)


@given(EVENTS, st.lists(st.integers(0, 400), min_size=NODES, max_size=NODES))
def test_what_happened_before_has_the_lower_stamp(
    events: list[tuple[int, int, int | None]], starts: list[int]
) -> None:
    """Held against vector clocks, which say exactly what happened before what."""
    clocks = [HybridClock() for _ in range(NODES)]
    now = [1_000 + start for start in starts]
    fastest = max(now)
    known = [[0] * NODES for _ in range(NODES)]
    sent: list[tuple[int, tuple[int, ...]] | None] = [None] * NODES
    history: list[tuple[int, tuple[int, ...]]] = []
    for node, moved, source in events:
        now[node] = max(1, now[node] + moved)
        fastest = max(fastest, now[node])
        message = sent[source] if source is not None else None
        if message is not None and clocks[node].receive(message[0], now[node]):
            known[node] = [max(pair) for pair in zip(known[node], message[1], strict=True)]
        stamp = clocks[node].stamp(now[node])
        known[node][node] += 1
        event = (stamp, tuple(known[node]))
        assert unpack_stamp(stamp)[0] <= fastest
        for earlier_stamp, earlier in history:
            if all(mine <= theirs for mine, theirs in zip(earlier, event[1], strict=True)):
                assert earlier_stamp < stamp
        history.append(event)
        sent[node] = event


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=50))
def test_stamps_of_one_clock_rise_although_its_time_is_set_back(times: list[int]) -> None:
    clock = HybridClock()
    stamps = [clock.stamp(now) for now in times]
    assert stamps == sorted(set(stamps))
    assert unpack_stamp(stamps[-1])[0] == max(times)


def test_a_stamp_is_the_time_where_time_goes_on() -> None:
    clock = HybridClock()
    assert [unpack_stamp(clock.stamp(now)) for now in (5, 5, 6)] == [(5, 0), (5, 1), (6, 0)]


@pytest.mark.parametrize(
    ("own", "received", "now", "after"),
    [
        ((10, 3), (10, 7), 9, (10, 9)),
        ((10, 7), (10, 3), 9, (10, 9)),
        ((10, 3), (12, 7), 9, (12, 9)),
        ((12, 3), (10, 7), 9, (12, 5)),
        ((10, 3), (12, 7), 13, (13, 1)),
    ],
)
def test_a_message_is_received_as_in_the_paper(
    own: tuple[int, int], received: tuple[int, int], now: int, after: tuple[int, int]
) -> None:
    """`after` is the next stamp that is given: one above what receiving made of it."""
    clock = HybridClock()
    for _ in range(own[1] + 1):
        clock.stamp(own[0])
    assert clock.last == pack_stamp(*own)
    assert clock.receive(pack_stamp(*received), now)
    assert unpack_stamp(clock.stamp(now)) == after


def test_a_stamp_beyond_the_largest_offset_is_refused_and_counted_and_moves_nothing() -> None:
    clock = HybridClock(max_offset_ms=500)
    before = clock.stamp(1_000)
    assert not clock.receive(pack_stamp(1_501, 0), 1_000)
    assert (clock.last, clock.refused) == (before, 1)
    assert clock.receive(pack_stamp(1_500, 0), 1_000)
    assert clock.refused == 1


def test_a_full_counter_borrows_from_the_next_millisecond() -> None:
    clock = HybridClock()
    assert clock.receive(pack_stamp(1_000, MAX_COUNTER), 1_000)
    assert unpack_stamp(clock.stamp(1_000)) == (1_001, 1)


def test_what_is_no_stamp_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        HybridClock().receive(-1, 0)
