"""What a host keeps of streams and sends again, over the bus in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ohmesh.assembly.system import SystemClock
from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.frame import decode_stream_items, encode_frame
from ohmesh.model.message import SendItems, StreamItems
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Bus
from ohmesh.roles.stream_reports import HOST_BYTES, REWIND_MS, STREAM_BYTES, StreamReports
from tests.waiting import eventually

SUBJECTS = Subjects("test")
LARGE = bytes(STREAM_BYTES // 4)


class Heard:
    def __init__(self, reports: StreamReports, bus: Bus) -> None:
        self.reports = reports
        self.numbers: list[int] = []
        self.frames = 0
        self.tasks: set[str] = set()
        self._bus = bus

    async def listen(self, task_id: str) -> None:
        await self._bus.subscribe(SUBJECTS.items(task_id), lambda message: self._hear(message.data))

    async def ask(self, task_id: str, first: int) -> None:
        await asyncio.sleep(2 * REWIND_MS / 1000)  # a repetition that was just sent serves this one too
        await self._bus.publish(
            SUBJECTS.streams("host"), encode_frame("me", 0, 0, [SendItems(task_id, first)])
        )

    def _hear(self, data: bytes) -> None:
        self.frames += 1
        for items in decode_stream_items(data).bodies:
            self.tasks.add(items.task_id)
            self.numbers += range(items.first, items.first + len(items.values))


def told(story: Callable[[Heard], Awaitable[None]]) -> None:
    async def main() -> None:
        bus = MemoryCluster().connect("host").bus
        reports = StreamReports(bus, SystemClock(), subjects=SUBJECTS, host="host", incarnation=1)
        publishing = asyncio.ensure_future(reports.publish_for_ever())
        async with asyncio.timeout(20):
            await story(Heard(reports, bus))
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)

    asyncio.run(main())


def items(task_id: str, first: int, *values: bytes, is_kept: bool = True) -> StreamItems:
    return StreamItems(task_id, 1, 7, first, list(values), is_kept)


def test_items_put_together_travel_together_and_again_when_asked_for() -> None:
    async def story(heard: Heard) -> None:
        await heard.listen("a")
        for number in range(1_000):
            heard.reports.put(items("a", number, b"x"))
        await eventually(lambda: len(heard.numbers) == 1_000, what="all are heard")
        assert heard.frames < 10
        await heard.ask("a", 990)
        await eventually(lambda: len(heard.numbers) == 1_010, what="the last ten are heard again")
        assert heard.numbers[-10:] == list(range(990, 1_000))

    told(story)


def test_of_a_stream_that_is_not_kept_the_newest_part_is() -> None:
    async def story(heard: Heard) -> None:
        for number in range(10):
            heard.reports.put(items("a", number, LARGE, is_kept=False))
        await heard.listen("a")
        await heard.ask("a", 0)
        await eventually(lambda: 9 in heard.numbers, what="the last item is heard again")
        assert min(heard.numbers) > 5

    told(story)


def test_of_too_many_streams_the_one_that_was_silent_longest_is_forgotten() -> None:
    async def story(heard: Heard) -> None:
        for number in range(HOST_BYTES // STREAM_BYTES + 1):
            heard.reports.put(items(f"task-{number}", 0, LARGE, LARGE, LARGE, LARGE))
        await heard.listen("task-0")
        await heard.listen("task-2")
        await heard.ask("task-0", 0)
        await heard.ask("task-2", 0)
        await eventually(lambda: heard.numbers, what="a later one is heard again")
        assert heard.tasks == {"task-2"}  # it was asked for last

    told(story)
