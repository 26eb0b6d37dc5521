"""A reader of events on a log written by hand: stretches without events, and logs that are not what they were."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.model.event import Event
from ohmesh.model.subject import Subjects
from ohmesh.protocols.queue import rows as r
from ohmesh.roles.event_stream import STRETCH_ENTRIES, EventSource, EventStream

Run = Callable[[Coroutine[object, object, None]], None]
SUBJECTS = Subjects("m")
LOG = SUBJECTS.log(0)
EMPTY = STRETCH_ENTRIES * 2 + 5


class Writing:
    """A log of one epoch."""

    def __init__(self, owner: str) -> None:
        self.engine: MemoryEngine = MemoryCluster().connect(owner)
        self.owner = owner
        self.last = 0
        self.previous = b""

    async def begin(self) -> None:
        await self.engine.log.create(LOG)
        await self.append(r.EpochStarted(1, self.owner, 1))

    async def append(self, *rows: r.Row) -> None:
        data = r.encode_log_frame(r.LogFrame(r.LOG_VERSION, 1, self.last, self.previous, list(rows)))
        self.last = await self.engine.log.append(LOG, data, expected=self.last)
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
