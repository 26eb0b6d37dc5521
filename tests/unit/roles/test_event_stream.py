"""A reader of events on a log written by hand: stretches without events, and logs that are not what they were."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.errors import EngineUnavailable
from ohmesh.model.event import Event
from ohmesh.model.subject import Subjects
from ohmesh.ports.log import Bounds, Entry, Log
from ohmesh.protocols.queue import rows as r
from ohmesh.roles.event_stream import STRETCH_ENTRIES, EventSource, EventStream

Run = Callable[[Coroutine[object, object, None]], None]
SUBJECTS = Subjects("m")
LOG = SUBJECTS.log(0)
EMPTY = STRETCH_ENTRIES * 2 + 5


class Writing:
    """A log of one epoch."""

    def __init__(self, owner: str, *, engine: MemoryEngine | None = None, log: str = LOG) -> None:
        self.engine: MemoryEngine = engine or MemoryCluster().connect(owner)
        self.owner = owner
        self.log = log
        self.last = 0
        self.previous = b""

    async def begin(self) -> None:
        await self.engine.log.create(self.log)
        await self.append(r.EpochStarted(1, self.owner, 1))

    async def append(self, *rows: r.Row) -> None:
        data = r.encode_log_frame(r.LogFrame(r.LOG_VERSION, 1, self.last, self.previous, list(rows)))
        self.last = await self.engine.log.append(self.log, data, expected=self.last)
        self.previous = r.digest(data)

    def stream(self) -> EventStream:
        return EventStream(EventSource(self.engine.log, self.engine.blobs, SUBJECTS, 1))


def whats(events: list[Event]) -> list[str]:
    return [event.what for event in events]


def test_stretches_without_events_are_not_taken_for_the_end(run: Run) -> None:
    async def main() -> None:
        writing = Writing("one")
        await writing.begin()
        for _ in range(EMPTY):
            await writing.append(r.Released([]))
        await writing.append(r.KindPaused(2, "text", True))
        stream = writing.stream()
        await stream.begin("start")
        assert whats(await stream.read()) == ["shard.epoch_started"]
        assert whats(await stream.read()) == ["kind.paused"]
        assert await stream.read() == []
        assert stream.cursor == f"0-{EMPTY + 2}"

    run(main())


def test_a_log_that_was_written_anew_under_a_reader_is_told_as_a_gap(run: Run) -> None:
    async def main() -> None:
        former, anew = Writing("former"), Writing("anew")
        for writing in (former, anew):
            await writing.begin()
            await writing.append(r.KindPaused(2, "text", True))
        stream = former.stream()
        await stream.begin("start")
        assert whats(await stream.read()) == ["shard.epoch_started", "kind.paused"]
        stream._shards[0]._log = anew.engine.log
        assert await stream.read() == []
        await anew.append(r.KindPaused(3, "text", False))
        (gap,) = await stream.read()
        assert (gap.what, gap.cursor) == ("shard.gap", "0-2")
        assert "written anew" in str(gap.data["reason"])
        assert whats(await stream.read()) == ["kind.resumed"]

    run(main())


class Failing:
    """A log port that cannot read one log from this entry on, so many times."""

    def __init__(self, log: Log, name: str, *, first: int, times: int = 1) -> None:
        self._log = log
        self._name = name
        self._first = first
        self.times = times

    async def read(self, name: str, *, first: int, limit: int) -> list[Entry]:
        entries = await self._log.read(name, first=first, limit=limit)
        if self.times and (name, first) == (self._name, self._first):
            self.times -= 1
            raise EngineUnavailable("The server did not answer.")
        return entries

    async def bounds(self, name: str) -> Bounds:
        return await self._log.bounds(name)

    async def create(self, name: str) -> None:
        await self._log.create(name)

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        return await self._log.append(name, data, expected=expected)

    async def trim(self, name: str, *, before: int) -> None:
        await self._log.trim(name, before=before)


async def two_shards() -> list[Writing]:
    engine = MemoryCluster().connect("both")
    both = [Writing("both", engine=engine, log=SUBJECTS.log(shard)) for shard in range(2)]
    for writing in both:
        await writing.begin()
    return both


def test_a_shard_that_cannot_be_read_takes_no_event_of_another_along(run: Run) -> None:
    async def main() -> None:
        both = await two_shards()
        failing = Failing(both[0].engine.log, SUBJECTS.log(1), first=2)
        stream = EventStream(EventSource(failing, both[0].engine.blobs, SUBJECTS, 2))
        await stream.begin("")
        for number, writing in enumerate(both):
            await writing.append(r.KindPaused(2, f"kind-{number}", True))
        with pytest.raises(EngineUnavailable):
            await stream.read()
        assert [event.subject for event in await stream.read()] == ["kind-0", "kind-1"]
        assert stream.cursor == "0-2,1-2"

    run(main())


def test_each_gap_is_told_to_who_resumes_behind_another(run: Run) -> None:
    async def main() -> None:
        both = await two_shards()
        for writing in both:
            for number in range(5):
                await writing.append(r.KindPaused(2 + number, "text", True))
            await writing.engine.log.trim(writing.log, before=5)
        source = EventSource(both[0].engine.log, both[0].engine.blobs, SUBJECTS, 2)
        first = EventStream(source)
        await first.begin("0-1,1-1")
        gaps = [event for event in await first.read() if event.what == "shard.gap"]
        assert [event.shard for event in gaps] == [0, 1]
        second = EventStream(source)
        await second.begin(gaps[0].cursor)
        assert [event.shard for event in await second.read() if event.what == "shard.gap"] == [1]

    run(main())


def test_a_gap_is_told_though_the_engine_went_away_while_it_was_passed(run: Run) -> None:
    async def main() -> None:
        former, anew = Writing("former"), Writing("anew")
        for writing in (former, anew):
            await writing.begin()
            await writing.append(r.KindPaused(2, "text", True))
        stream = former.stream()
        await stream.begin("start")
        assert whats(await stream.read()) == ["shard.epoch_started", "kind.paused"]
        await anew.append(r.KindPaused(3, "text", False))
        failing = Failing(anew.engine.log, LOG, first=1)
        stream._shards[0]._log = failing
        with pytest.raises(EngineUnavailable):
            await stream.read()
        assert failing.times == 0
        assert stream.cursor == "0-2"
        assert whats(await stream.read()) == ["shard.gap"]
        assert whats(await stream.read()) == ["kind.resumed"]

    run(main())


def test_while_a_shard_is_away_one_stretch_of_another_is_kept_and_nothing_is_lost(run: Run) -> None:
    async def main() -> None:
        both = await two_shards()
        failing = Failing(both[0].engine.log, SUBJECTS.log(1), first=2, times=3)
        stream = EventStream(EventSource(failing, both[0].engine.blobs, SUBJECTS, 2))
        await stream.begin("")
        for number in range(3 * STRETCH_ENTRIES):
            await both[0].append(r.KindPaused(2 + number, f"kind-{number}", True))
        for _ in range(3):
            with pytest.raises(EngineUnavailable):
                await stream.read()
        told = await stream.read()
        assert len(told) == STRETCH_ENTRIES
        while events := await stream.read():
            told += events
        assert [event.subject for event in told] == [
            f"kind-{number}" for number in range(3 * STRETCH_ENTRIES)
        ]

    run(main())
