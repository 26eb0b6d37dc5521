"""Reads the events of a mesh from the logs of its shards; nobody else takes part, so a reader slows no dispatcher.

For each shard a fold is brought, from the newest snapshot before it or from the log's beginning, to where reading is to
begin; from there on entries become events. Where the log does not reach back to the cursor any more, or was written
anew, an event `shard.gap` says so, and reading goes on from what there is. In memory there is one stretch per shard.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import msgspec

from ohmesh.errors import EngineUnavailable, LogCorrupt, UsageError
from ohmesh.model.event import Event, Place, format_cursor, parse_cursor
from ohmesh.model.subject import Subjects
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.log import Bounds, Entry, Log
from ohmesh.protocols.queue.events import EventFold
from ohmesh.protocols.queue.rows import decode_log_frame, digest
from ohmesh.roles.shard_loader import read_snapshot, snapshot_prefix, snapshot_sequence

STRETCH_ENTRIES = 64
POLL_MS = 50
POLL_IDLE_MS = 1_000


@dataclass(frozen=True, slots=True)
class EventSource:
    """Where the logs of a mesh stand."""

    log: Log
    blobs: Blobs
    subjects: Subjects
    shards: int


def source_of(log: Log | None, blobs: Blobs | None, subjects: Subjects, shards: int) -> EventSource:
    if log is None or blobs is None:
        raise UsageError(
            "This client reads no logs, so it has no events.", hint="Connect with Mesh.connect()."
        )
    return EventSource(log, blobs, subjects, shards)


@dataclass(slots=True)
class Reached:
    """A fold, and the last entry that it has taken."""

    fold: EventFold
    sequence: int
    previous: bytes | None = None

    def take(self, entry: Entry) -> list[Event]:
        events = self.fold.take(entry.sequence, decode_log_frame(entry.data, entry.sequence))
        self.sequence, self.previous = entry.sequence, digest(entry.data)
        return events

    def is_before(self, entry: Entry) -> bool:
        if entry.sequence != self.sequence + 1:
            return False
        frame = decode_log_frame(entry.data, entry.sequence)
        return frame.epoch < self.fold.epoch or self.previous is None or frame.previous == self.previous


class ShardEvents:
    """One shard's. `place`: what was read last; `is_behind`: the last look found something, there may be more."""

    def __init__(self, source: EventSource, shard: int) -> None:
        self.shard = shard
        self.place = Place(0)
        self.is_behind = False
        self._log, self._blobs = source.log, source.blobs
        self._name = source.subjects.log(shard)
        self._reached = Reached(EventFold(shard), 0)

    async def bounds(self) -> Bounds:
        return await self._log.bounds(self._name)

    async def begin(self, place: Place, *, is_start: bool = False) -> list[Event]:
        """Go to `place`; what is to be told of it first: a gap, where the log does not hold what comes after.

        Where the engine goes away meanwhile nothing has changed, so the next look finds the same gap.
        """
        bounds = await self.bounds()
        gap = ""
        if place.sequence > bounds.last:
            gap, place = f"the log ends at entry {bounds.last}, before {place.sequence}", Place(bounds.last)
        elif place.sequence < bounds.first - (1 if place.is_whole else 0):
            gap = f"entries up to {bounds.first - 1} were trimmed"
            place = Place(bounds.first - 1)
        folded_to = place.sequence if place.is_whole else place.sequence - 1
        self._reached, self.place = await self._rebuild(folded_to, bounds), place
        return [self._reached.fold.gap(place.sequence, gap)] if gap and not is_start else []

    async def read(self) -> list[tuple[Event, Place]]:
        """The next stretch, with the place behind each event. Moves `place` on."""
        entries = await self._log.read(self._name, first=self._reached.sequence + 1, limit=STRETCH_ENTRIES)
        self.is_behind = bool(entries)
        if not entries:
            bounds = await self.bounds()
            if bounds.last >= self._reached.sequence:
                return []
            return await self._pass_gap(Place(self._reached.sequence))
        found: list[tuple[Event, Place]] = []
        for entry in entries:
            if not self._reached.is_before(entry):
                # What was found before it is given out first; the next read begins here again.
                return found or await self._pass_gap(Place(entry.sequence - 1), entry)
            events = self._reached.take(entry)
            for index, event in enumerate(events):
                if entry.sequence > self.place.sequence or index > self.place.event:
                    found.append(
                        (
                            event,
                            Place(entry.sequence, index)
                            if event is not events[-1]
                            else Place(entry.sequence),
                        )
                    )
            self.place = Place(entry.sequence)
        return found

    async def _pass_gap(self, place: Place, entry: Entry | None = None) -> list[tuple[Event, Place]]:
        """The log was trimmed under us, or cut and written anew: say so and go on from what there is."""
        events = await self.begin(place)
        if not events:
            what = "was written anew" if entry is not None else "was cut"
            events = [
                self._reached.fold.gap(
                    self.place.sequence, f"the log {what} before entry {place.sequence + 1}"
                )
            ]
        return [(event, self.place) for event in events]

    async def _rebuild(self, upto: int, bounds: Bounds) -> Reached:
        """A fold that has taken every entry up to this one."""
        reached = Reached(EventFold(self.shard), bounds.first - 1)
        for key in reversed(await self._snapshots(bounds, upto)):
            restored = await self._restore(key, bounds)
            if restored is not None:
                reached = restored
                break
        while reached.sequence < upto:
            limit = min(STRETCH_ENTRIES, upto - reached.sequence)
            entries = await self._log.read(self._name, first=reached.sequence + 1, limit=limit)
            if not entries:
                break
            for entry in entries:
                reached.take(entry)
            await asyncio.sleep(0)
        return reached

    async def _snapshots(self, bounds: Bounds, upto: int) -> list[str]:
        keys = await self._blobs.list(snapshot_prefix(self.shard))
        usable = [key for key in keys if bounds.first - 1 <= snapshot_sequence(key) <= upto]
        return sorted(usable, key=snapshot_sequence)

    async def _restore(self, key: str, bounds: Bounds) -> Reached | None:
        """What this snapshot holds, if it is there, whole, and of this log."""
        try:
            found = await read_snapshot(self._blobs, key)
        except LogCorrupt:
            return None
        if found is None:
            return None
        table, sequence, previous = found
        if bounds.first <= sequence:
            entries = await self._log.read(self._name, first=sequence, limit=1)
            if not entries or digest(entries[0].data) != previous:
                return None
        fold = EventFold(self.shard)
        fold.begin_with(table)
        return Reached(fold, sequence, previous)


class EventStream:
    """The events of all shards. `cursor` is behind the last one that was given out."""

    def __init__(self, source: EventSource) -> None:
        self._shards = [ShardEvents(source, shard) for shard in range(source.shards)]
        self._places: dict[int, Place] = {}
        self._due: list[Event] = []
        self._found: dict[int, list[tuple[Event, Place]]] = {}

    @property
    def cursor(self) -> str:
        return format_cursor(self._places)

    async def begin(self, after: str) -> None:
        """`after`: a cursor, "start" for the oldest that there is, "" for what happens from now on."""
        if after:
            places = parse_cursor(after, len(self._shards))
        else:
            places = {one.shard: Place((await one.bounds()).last) for one in self._shards}
        await self._begin(places, is_start=after == "start")

    async def begin_before_end(self, entries: int) -> None:
        """So many entries of each shard before its end."""
        places = {}
        for one in self._shards:
            bounds = await one.bounds()
            places[one.shard] = Place(max(bounds.first - 1, bounds.last - entries))
        await self._begin(places, is_start=True)

    async def read(self) -> list[Event]:
        """What is new in all shards, in the order of time; at once, [] where there is nothing up to their ends."""
        while True:
            events = await self._read()
            if events or not any(one.is_behind for one in self._shards):
                return events

    async def _read(self) -> list[Event]:
        """Where one shard cannot be read, what the others found is kept for the next time: they have gone past it.

        A shard whose stretch waits is not read on, so one stretch of each is kept, however long another is away.
        """
        asked = [one for one in self._shards if one.shard not in self._found]
        answers = await asyncio.gather(*(one.read() for one in asked), return_exceptions=True)
        failed: list[BaseException] = []
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException):
                failed.append(answer)
            elif answer:
                self._found[one.shard] = answer
        if failed:
            raise failed[0]
        due, self._due = self._due, []
        found, self._found = self._found, {}
        for event, place in heapq.merge(*found.values(), key=lambda pair: pair[0].time_ms):
            self._places[event.shard] = place
            due.append(msgspec.structs.replace(event, cursor=self.cursor))
        for one in self._shards:  # past entries that have no events, too
            self._places[one.shard] = one.place
        return due

    async def follow(self) -> AsyncGenerator[Event]:
        """For ever, as they happen. While the engine is away it waits, and nothing is left out."""
        pause_ms = POLL_MS
        while True:
            try:
                events = await self.read()
            except EngineUnavailable:
                events = []
            for event in events:
                yield event
            pause_ms = POLL_MS if events else min(2 * pause_ms, POLL_IDLE_MS)
            await asyncio.sleep(0 if events else pause_ms / 1000)

    async def _begin(self, places: dict[int, Place], *, is_start: bool) -> None:
        """Who resumes behind the gap of one shard is still to hear of another's: a place moves with its own gap."""
        gaps = {one: await one.begin(places[one.shard], is_start=is_start) for one in self._shards}
        self._places = {one.shard: places[one.shard] if gaps[one] else one.place for one in self._shards}
        for one, found in gaps.items():
            self._places[one.shard] = one.place
            self._due += [msgspec.structs.replace(event, cursor=self.cursor) for event in found]
