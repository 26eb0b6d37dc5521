"""How a fleet and its parts have been: summaries kept in rings, fine for the last hour, coarser the longer ago.

    every 10 s for an hour       360 slots
    every minute for a day     1,440 slots
    every hour for 30 days       720 slots

A slot has 6 figures of 4 bytes for each part of the fleet, so a part takes 60 KB when all rings are full, and a full
fleet of 1,101 parts 67 MB; a slot takes memory when it is first used, and that of an old one is used again. Each ring
is filled from what is recorded, not from the finer one.

A slot holds the mean of what was recorded in its time, of p95 the worst (a mean of quantiles means nothing). A slot in
which nothing was recorded is missing, and a part that had nobody in it has NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.column_buffer import check_within, from_buffer, to_buffer
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.columns import Doubles, Singles, Times
from ohmesh.registry.fleet.part import Part, count_of_parts
from ohmesh.registry.fleet.rollup import Rollup

FIGURES = ("members", "active_rate", "mean_lead_ms", "p95_lead_ms", "queue_depth", "drift")
"""Of Summaries; what a trend has of each slot."""

_MEMBERS = FIGURES.index("members")
_WORST = FIGURES.index("p95_lead_ms")


@dataclass(frozen=True, slots=True)
class Resolution:
    """One ring: a slot for each `step_ms`, `slots` of them."""

    step_ms: int
    slots: int

    @property
    def span_ms(self) -> int:
        return self.step_ms * self.slots


RESOLUTIONS = (Resolution(10_000, 360), Resolution(60_000, 1_440), Resolution(3_600_000, 720))


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """Of one part. times_ms: when each slot begins, rising (mesh time). figures: name of FIGURES -> one for each."""

    step_ms: int
    times_ms: Times
    figures: dict[str, Singles]


class Slot(NamedTuple):
    """figures: (FIGURES, parts), as a ring holds them."""

    start_ms: int
    figures: Singles


def encode_slot(slot: Slot) -> bytes:
    """Only of parts that have somebody: a fleet is seldom full."""
    parts = np.flatnonzero(slot.figures[_MEMBERS] > 0)
    return _encode(
        _SlotWire(slot.start_ms, to_buffer(parts, "<u4"), to_buffer(slot.figures[:, parts], "<f4"))
    )


def decode_slot(data: bytes, topology: Topology) -> Slot:
    """Raises InvalidArgument: not of a fleet of this shape."""
    parts = count_of_parts(topology)
    try:
        wire = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"A slot of a trend cannot be read: {error}.") from error
    count = len(wire.parts) // 4
    numbers = from_buffer(wire.parts, "<u4", count, "parts").astype(np.intp)
    check_within(numbers, 0, parts - 1, "parts")
    figures = np.full((len(FIGURES), parts), np.nan, np.float32)
    figures[_MEMBERS] = 0
    said = from_buffer(wire.figures, "<f4", count * len(FIGURES), "figures")
    figures[:, numbers] = said.reshape(len(FIGURES), count)  # nobody was there: no part is a shape as well
    return Slot(wire.start_ms, figures)


class _SlotWire(Struct, array_like=True, frozen=True):
    start_ms: Annotated[int, Meta(ge=0)]
    parts: bytes
    figures: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_SlotWire).decode


class Trends:
    """History of the parts of a fleet. resolutions: from fine to coarse, each reaching further back."""

    def __init__(self, topology: Topology, resolutions: Sequence[Resolution] = RESOLUTIONS) -> None:
        if not resolutions or any(
            one.step_ms >= two.step_ms or one.span_ms >= two.span_ms for one, two in pairwise(resolutions)
        ):
            raise InvalidArgument(
                "Trends are kept in rings whose steps and spans rise from each to the next."
            )
        self._topology = topology
        self._rings = [_Ring(one, count_of_parts(topology)) for one in resolutions]

    @property
    def nbytes(self) -> int:
        """When every slot was used."""
        return sum(int(ring.values.nbytes) for ring in self._rings)

    def record(self, now_ms: int, rollup: Rollup) -> None:
        """What the fleet is like at mesh time `now_ms`. Raises InvalidArgument: earlier than what was recorded last."""
        figures = np.stack([rollup.by_part(name).astype(np.float64) for name in FIGURES])
        if now_ms < self._rings[0].newest_ms:
            raise InvalidArgument(
                f"Trends were told of mesh time {self._rings[0].newest_ms}; {now_ms} is earlier.",
                hint="Mesh time does not run backwards.",
            )
        for ring in self._rings:
            ring.record(now_ms, figures)

    @property
    def newest_ms(self) -> int:
        """When the newest slot of the finest ring begins; -1 before anything was recorded."""
        return self._rings[0].newest_ms

    def closed(self, step_ms: int, after_ms: int) -> list[Slot]:
        """Slots of a ring that begin after `after_ms` and are not being filled any more, rising."""
        ring = self._ring(0, step_ms)
        order = ring.slots_between(after_ms + ring.resolution.step_ms, ring.newest_ms - 1)
        return [Slot(int(ring.times_ms[place]), ring.values[place]) for place in order.tolist()]

    def restore(self, step_ms: int, slots: Iterable[Slot]) -> None:
        """Put kept slots into an empty ring, rising."""
        ring = self._ring(0, step_ms)
        full = step_ms // self._rings[0].resolution.step_ms
        for slot in slots:
            ring.record(slot.start_ms, slot.figures.astype(np.float64), weight=full)

    def refill(self) -> None:
        """After `restore` of all rings: what a coarser ring lacks at its end is recorded anew from the finer one."""
        for finer, coarser in pairwise(self._rings):
            full = finer.resolution.step_ms // self._rings[0].resolution.step_ms
            known_ms = coarser.newest_ms + coarser.resolution.step_ms if coarser.newest_ms >= 0 else 0
            for place in finer.slots_between(
                known_ms + finer.resolution.step_ms - 1, finer.newest_ms
            ).tolist():
                figures = finer.values[place].astype(np.float64)
                start_ms = int(finer.times_ms[place])
                weight = full if start_ms < finer.newest_ms else finer.samples
                coarser.record(start_ms, figures, weight=weight)

    def of(self, part: Part, start_ms: int, end_ms: int, *, step_ms: int | None = None) -> Trend:
        """Slots of `part` that overlap `start_ms` to `end_ms`, in the finest ring that reaches back to `start_ms`, or
        in that of `step_ms`. Raises InvalidArgument: no such part or ring, or an end before the start."""
        if end_ms < start_ms:
            raise InvalidArgument(f"A trend from {start_ms} to {end_ms} ends before it begins.")
        ring = self._ring(start_ms, step_ms)
        number = part.number(self._topology)
        order = ring.slots_between(start_ms, end_ms)
        figures = {name: ring.values[order, place, number] for place, name in enumerate(FIGURES)}
        return Trend(ring.resolution.step_ms, ring.times_ms[order], figures)

    def _ring(self, start_ms: int, step_ms: int | None) -> _Ring:
        if step_ms is None:
            return next((ring for ring in self._rings if ring.oldest_ms <= start_ms), self._rings[-1])
        for ring in self._rings:
            if ring.resolution.step_ms == step_ms:
                return ring
        steps = ", ".join(str(ring.resolution.step_ms) for ring in self._rings)
        raise InvalidArgument(
            f"No trend is kept in steps of {step_ms} ms.", hint=f"They are kept in {steps}."
        )


class _Ring:
    """values: (slots, figures, parts). The newest slot is still being filled: `_counts` says by how many values."""

    def __init__(self, resolution: Resolution, parts: int) -> None:
        self.resolution = resolution
        self.values: Singles = np.zeros((resolution.slots, len(FIGURES), parts), np.float32)
        self.times_ms: Times = np.full(resolution.slots, -1, np.int64)
        self.newest_ms = -1
        self._counts: npt.NDArray[np.int32] = np.zeros((len(FIGURES), parts), np.int32)
        self._means: Doubles = np.zeros((len(FIGURES), parts))

    @property
    def samples(self) -> int:
        """Of how many values the newest slot is the mean."""
        return int(self._counts.max())

    @property
    def oldest_ms(self) -> int:
        """Where the time begins that it can tell of."""
        return self.newest_ms - self.resolution.span_ms + self.resolution.step_ms

    def record(self, now_ms: int, figures: Doubles, *, weight: int = 1) -> None:
        """weight: of how many values these are the means."""
        slot_ms = now_ms - now_ms % self.resolution.step_ms
        place = slot_ms // self.resolution.step_ms % self.resolution.slots
        if slot_ms != self.newest_ms:
            self.newest_ms = self.times_ms[place] = slot_ms
            self._counts[:] = 0
            self._means[:] = np.nan
        is_known = ~np.isnan(figures)
        self._counts += is_known * np.int32(weight)
        worst = np.fmax(self._means[_WORST], figures[_WORST])
        moved = self._means + (figures - self._means) * weight / np.maximum(self._counts, 1)
        self._means = np.where(is_known, np.where(self._counts == weight, figures, moved), self._means)
        self._means[_WORST] = worst
        self.values[place] = self._means

    def slots_between(self, start_ms: int, end_ms: int) -> npt.NDArray[np.intp]:
        """In order of time; what an older round of the ring has left there is none."""
        begins = self.times_ms
        is_within = (begins + self.resolution.step_ms > start_ms) & (begins <= end_ms)
        within = np.flatnonzero(is_within & (begins >= max(0, self.oldest_ms)))
        return within[np.argsort(begins[within])]
