"""The orchestrator keeps how the fleet has been: a summary of every part every ten seconds, in rings (registry.trends).

Each ring has a log of its own, to which slots are appended once they are full, trimmed to as many as the ring has; so
memory and disk have a bound, and a successor reads what there was. What a coarse slot had gathered when its
orchestrator died is gathered anew from the finer slots: a kill loses ten seconds at most.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.model.fleet_trend import AskTrend, TrendPage
from ohmesh.ports.log import Log
from ohmesh.registry.fleet.part import parse_part
from ohmesh.registry.fleet.rollup import roll_up
from ohmesh.registry.fleet.trends import (
    FIGURES,
    RESOLUTIONS,
    Resolution,
    Trends,
    decode_slot,
    encode_slot,
)

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

PAGE = 100
TRIM_EVERY = 30
_NAMES = ("agents", "active_rate", "impedance_ms", "p95_ms", "queue", "drift")


class TrendKeeper:
    def __init__(self, orchestrator: Orchestrator, log: Log) -> None:
        self.trends = Trends(orchestrator.registry.topology)
        self._of = orchestrator
        self._log = log
        self._ends: dict[int, int] = {}
        self._kept_ms: dict[int, int] = {}
        self._loaded = asyncio.Event()

    async def run(self) -> None:
        step_s = RESOLUTIONS[0].step_ms / 1000
        while True:
            if self._loaded.is_set() or await self._loads():
                self._loaded.set()
                await self._record(int(self._of.now_ms()))
            await asyncio.sleep(step_s - self._of.now_ms() / 1000 % step_s)

    async def answer(self, asked: AskTrend) -> TrendPage:
        """Raises InvalidArgument: no such part or step, or an end before the start."""
        await self._loaded.wait()
        now_ms = int(self._of.now_ms())
        end_ms = asked.end_ms or now_ms - asked.end_ago_ms
        start_ms = asked.start_ms or max(0, now_ms - asked.ago_ms)
        trend = self.trends.of(parse_part(asked.part), start_ms, end_ms, step_ms=asked.step_ms or None)
        columns = {
            name: tuple(
                None if math.isnan(value) else round(value, 4) for value in trend.figures[figure].tolist()
            )
            for name, figure in zip(_NAMES, FIGURES, strict=True)
        }
        return TrendPage(
            part=asked.part, step_ms=trend.step_ms, times_ms=tuple(trend.times_ms.tolist()), **columns
        )

    # What is kept

    async def _record(self, now_ms: int) -> None:
        if (
            not self._of.knows_the_fleet or now_ms < self.trends.newest_ms
        ):  # a successor's clock may be behind
            return
        self.trends.record(now_ms, roll_up(self._of.registry, now_ms))
        for ring in RESOLUTIONS:
            await self._keep(ring)

    async def _loads(self) -> bool:
        try:
            for ring in RESOLUTIONS:
                await self._load(ring)
        except EngineError as error:
            self._of.notice(f"How the fleet has been could not be read, it is tried again: {error}")
            return False
        self.trends.refill()
        return True

    async def _load(self, ring: Resolution) -> None:
        """Slots of the time to come were written by a clock that was wrong."""
        name, topology = self._name(ring), self._of.registry.topology
        await self._log.create(name)
        bounds = await self._log.bounds(name)
        slots, first = {}, max(bounds.first, bounds.last - ring.slots + 1)
        while entries := await self._log.read(name, first=first, limit=PAGE):
            for entry in entries:
                try:
                    slot = decode_slot(entry.data, topology)
                except InvalidArgument:  # of another shape of the fleet
                    continue
                if slot.start_ms <= self._of.now_ms():
                    slots[slot.start_ms] = slot
            first = entries[-1].sequence + 1
        self.trends = Trends(topology) if ring is RESOLUTIONS[0] else self.trends
        self.trends.restore(ring.step_ms, [slots[start_ms] for start_ms in sorted(slots)])
        self._ends[ring.step_ms] = bounds.last
        self._kept_ms[ring.step_ms] = max(slots, default=-1)

    async def _keep(self, ring: Resolution) -> None:
        """What another orchestrator has written meanwhile stays; it is found out elsewhere who is the right one."""
        name = self._name(ring)
        for slot in self.trends.closed(ring.step_ms, self._kept_ms[ring.step_ms]):
            try:
                end = await self._log.append(name, encode_slot(slot), expected=self._ends[ring.step_ms])
                if end % TRIM_EVERY == 0:
                    await self._log.trim(name, before=end - ring.slots + 1)
            except (
                EngineError
            ):  # whether it landed shows at the next try: a slot that stands there twice does no harm
                await self._find_end(ring)
                return
            self._ends[ring.step_ms] = end
            self._kept_ms[ring.step_ms] = slot.start_ms

    async def _find_end(self, ring: Resolution) -> None:
        try:
            self._ends[ring.step_ms] = (await self._log.bounds(self._name(ring))).last
        except EngineError as error:
            self._of.notice(f"How the fleet has been could not be kept, it is tried again: {error}")

    def _name(self, ring: Resolution) -> str:
        return self._of.subjects.trend_log(ring.step_ms)
