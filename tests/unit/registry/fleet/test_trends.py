"""History in rings, against a list of all that was recorded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.part import MESH, Part, count_of_parts
from ohmesh.registry.fleet.rollup import Rollup, roll_up
from ohmesh.registry.fleet.trends import (
    FIGURES,
    RESOLUTIONS,
    Resolution,
    Slot,
    Trends,
    decode_slot,
    encode_slot,
)
from tests.unit.registry.fleet.fleets import START_MS, fleet, hear, rows_of

SHAPE = Topology(sectors=1, clusters=2, agents=1)
PARTS = (MESH, Part(0), Part(0, 0), Part(0, 1))
RINGS = (Resolution(10, 5), Resolution(30, 4), Resolution(100, 3))
FIGURE = st.sampled_from((math.nan, 0.0, 1.0, 5.0, 40.0))
STARTS = st.integers(0, 60).map(lambda tens: 10 * tens) | st.integers(0, 600)
RECORDS = st.lists(
    st.tuples(
        st.sampled_from((0, 3, 10, 20, 70)), st.lists(FIGURE, min_size=len(PARTS), max_size=len(PARTS))
    ),
    max_size=20,
)


class Told(Rollup):
    """A rollup in which each figure of a part is the one given, and p95 ten times that."""

    def __init__(self, figures: list[float]) -> None:
        object.__setattr__(self, "mesh", figures)

    def by_part(self, name: str) -> np.ndarray[Any, Any]:
        return np.array(self.mesh) * (10 if name == "p95_lead_ms" else 1)


def kept(recorded: list[tuple[int, list[float]]], ring: Resolution, number: int) -> dict[int, list[float]]:
    """Start of a slot that the ring still has -> what was recorded of a part in it."""
    slots: dict[int, list[float]] = {}
    for now_ms, figures in recorded:
        slots.setdefault(now_ms // ring.step_ms * ring.step_ms, []).append(figures[number])
    newest = max(slots, default=0)
    return {start: values for start, values in slots.items() if start > newest - ring.span_ms}


@settings(max_examples=200)
@given(RECORDS, st.integers(0, 3), STARTS, st.integers(0, 300), st.sampled_from((None, *RINGS)))
def test_a_trend_is_what_was_recorded_by_slots(
    steps: list[tuple[int, list[float]]], number: int, start_ms: int, length_ms: int, asked: Resolution | None
) -> None:
    trends, recorded, now_ms = Trends(SHAPE, RINGS), [], 0
    for step_ms, figures in steps:
        now_ms += step_ms
        recorded.append((now_ms, figures))
        trends.record(now_ms, Told(figures))
    trend = trends.of(PARTS[number], start_ms, start_ms + length_ms, step_ms=asked.step_ms if asked else None)
    ring = asked or next(
        (
            one
            for one in RINGS
            if not recorded or now_ms // one.step_ms * one.step_ms - one.span_ms + one.step_ms <= start_ms
        ),
        RINGS[-1],
    )
    assert trend.step_ms == ring.step_ms
    slots = {
        start: [value for value in values if not math.isnan(value)]
        for start, values in sorted(kept(recorded, ring, number).items())
        if start + ring.step_ms > start_ms and start <= start_ms + length_ms
    }
    assert trend.times_ms.tolist() == list(slots)
    means = [sum(values) / len(values) if values else math.nan for values in slots.values()]
    worst = [10 * max(values, default=math.nan) for values in slots.values()]
    for name in FIGURES:
        wanted = worst if name == "p95_lead_ms" else means
        assert trend.figures[name].tolist() == pytest.approx(wanted, rel=1e-6, nan_ok=True), name


def test_a_sector_that_slows_down_is_seen_in_its_own_trend_and_no_other() -> None:
    registry = fleet()
    trends = Trends(registry.topology)
    for turn in range(6):
        now_ms = START_MS + 10_000 * turn
        for sector in range(3):
            rtt_ms = 40 * (1 + turn) if sector == 1 else 40
            hear(registry, rows_of(*range(10 * sector, 10 * sector + 10)), now_ms, rtt_ms=rtt_ms)
        trends.record(now_ms, roll_up(registry, now_ms))
    slow = trends.of(Part(1), START_MS, START_MS + 60_000)
    assert slow.step_ms == 10_000
    assert slow.times_ms.tolist() == [START_MS + 10_000 * turn for turn in range(6)]
    assert slow.figures["mean_lead_ms"].tolist() == pytest.approx([10 + 30 * turn for turn in range(1, 7)])
    assert slow.figures["members"].tolist() == [10] * 6
    other = trends.of(Part(2, 0), START_MS, START_MS + 60_000)
    assert set(other.figures["mean_lead_ms"].tolist()) == {40.0}
    (minute,) = (
        trends.of(Part(1), START_MS, START_MS + 60_000, step_ms=60_000).figures["p95_lead_ms"].tolist()
    )
    assert minute == pytest.approx(190, rel=0.01)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.floats(0, 100), min_size=2, max_size=2), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_trends_that_were_kept_slot_by_slot_are_those_that_went_on(
    records: list[list[float]], killed: int
) -> None:
    """Whoever is killed has kept each full slot; what began in the finest slot is all that is lost. Coarse slots are
    means of means, so they agree to rounding."""
    rings = (Resolution(10, 6), Resolution(30, 6), Resolution(120, 3))
    killed = min(killed, len(records))
    told = [Told([*figures, math.nan, 7.0]) for figures in records]
    died = Trends(SHAPE, rings)
    kept: dict[int, dict[int, Slot]] = {ring.step_ms: {} for ring in rings}
    for turn, rollup in enumerate(told[:killed]):
        died.record(10 * turn, rollup)
        for step_ms, slots in kept.items():
            for slot in died.closed(step_ms, max(slots, default=-step_ms)):
                slots[slot.start_ms] = Slot(slot.start_ms, slot.figures.copy())
    successor, went_on = Trends(SHAPE, rings), Trends(SHAPE, rings)
    for step_ms, slots in kept.items():
        successor.restore(step_ms, slots.values())
    successor.refill()
    for turn, rollup in enumerate(told):
        if turn != killed - 1:
            went_on.record(10 * turn, rollup)
        if turn >= killed:
            successor.record(10 * turn, rollup)
    for step_ms in kept:
        for part in PARTS:
            mine, other = (one.of(part, 0, 10_000, step_ms=step_ms) for one in (successor, went_on))
            assert mine.times_ms.tolist() == other.times_ms.tolist()
            for name in FIGURES:
                assert mine.figures[name] == pytest.approx(
                    other.figures[name], rel=1e-4, abs=1e-3, nan_ok=True
                )


def test_a_slot_is_read_as_it_was_written_and_only_parts_with_somebody_take_room() -> None:
    figures = np.full((len(FIGURES), len(PARTS)), np.nan, np.float32)
    figures[0] = 0
    figures[:, 2] = [3, 0.5, 40, 70, 2, 0.25]
    data = encode_slot(Slot(70, figures))
    assert len(data) < 50
    read = decode_slot(data, SHAPE)
    assert read.start_ms == 70
    assert np.array_equal(read.figures, figures, equal_nan=True)
    for broken in (b"", b"\x00", data[:-1], encode_slot(Slot(70, np.ones((len(FIGURES), 9), np.float32)))):
        with pytest.raises(InvalidArgument):
            decode_slot(broken, SHAPE)


def test_a_slot_of_a_fleet_without_anybody_is_read_as_well() -> None:
    empty = np.full((len(FIGURES), len(PARTS)), np.nan, np.float32)
    empty[0] = 0
    assert np.array_equal(decode_slot(encode_slot(Slot(70, empty)), SHAPE).figures, empty, equal_nan=True)


def test_what_is_kept_and_how_large_it_is_as_the_page_says() -> None:
    shape = Topology()
    assert [(one.step_ms, one.span_ms) for one in RESOLUTIONS] == [
        (10_000, 3_600_000),
        (60_000, 86_400_000),
        (3_600_000, 30 * 86_400_000),
    ]
    assert count_of_parts(shape) == 1_101
    assert Trends(shape).nbytes == 2_520 * 6 * 4 * 1_101 < 67e6


def test_time_does_not_run_backwards() -> None:
    trends = Trends(SHAPE, RINGS)
    trends.record(50, Told([1.0] * 4))
    trends.record(50, Told([1.0] * 4))
    with pytest.raises(InvalidArgument, match="mesh time 50; 49 is earlier"):
        trends.record(49, Told([1.0] * 4))


def test_what_is_not_kept_is_refused() -> None:
    trends = Trends(SHAPE, RINGS)
    with pytest.raises(InvalidArgument, match="kept in 10, 30, 100"):
        trends.of(MESH, 0, 1, step_ms=20)
    with pytest.raises(InvalidArgument, match="no part of this fleet"):
        trends.of(Part(1), 0, 1)
    with pytest.raises(InvalidArgument, match="ends before it begins"):
        trends.of(MESH, 2, 1)
    assert not len(trends.of(MESH, 0, 1_000).times_ms)


@pytest.mark.parametrize(
    "rings", [(), (Resolution(10, 5), Resolution(10, 9)), (Resolution(10, 5), Resolution(20, 2))]
)
def test_rings_that_do_not_reach_further_back_are_refused(rings: tuple[Resolution, ...]) -> None:
    with pytest.raises(InvalidArgument, match="steps and spans rise"):
        Trends(SHAPE, rings)
