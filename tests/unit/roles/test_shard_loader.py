"""What a successor reads: snapshot and log, checked against each other, whatever was trimmed, lost or left behind."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.engines.memory.blobs import MemoryBlobs
from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue.rows import (
    LOG_VERSION,
    Cancelled,
    EpochStarted,
    LogFrame,
    Row,
    SnapshotTaken,
    Submitted,
    encode_log_frame,
)
from ohmesh.protocols.queue.snapshot import PART, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.roles.shard_loader import Loaded, ShardSource, load, projector_key, read_snapshot, snapshot_key
from tests.unit.protocols.queue.shard_driver import submission
from tests.unit.roles.queue_engine import LOG, QueueEngine, virtually


def submitted(*names: str) -> Row:
    return Submitted(1_000, [submission(name) for name in names])


async def write(engine: QueueEngine, *frames: list[Row], epoch: int = 1) -> None:
    """Append frames as the writer of this epoch would."""
    writer = engine.writer()
    loaded = await load(engine.source())
    writer.seek(loaded.last, loaded.previous)
    for rows in frames:
        await writer.append(epoch, rows)


async def begun(engine: QueueEngine, *frames: list[Row], epoch: int = 1) -> None:
    await write(engine, [EpochStarted(epoch, f"owner-{epoch}", 1_000)], *frames, epoch=epoch)


async def take_snapshot(engine: QueueEngine) -> str:
    """Of the shard as it is in the log now."""
    loaded = await load(engine.source())
    key = snapshot_key(0, loaded.last, loaded.previous)
    await engine.side.blobs.put(key, encode_snapshot(loaded.table, loaded.last, loaded.previous))
    return key


async def loaded_after(engine: QueueEngine) -> Loaded:
    return await load(engine.source())


def names(loaded: Loaded) -> list[str]:
    return list(loaded.table.tasks)


def test_an_empty_log_is_an_empty_table() -> None:
    async def main(engine: QueueEngine) -> None:
        loaded = await loaded_after(engine)
        assert (loaded.last, loaded.previous, loaded.lost_tail, names(loaded)) == (0, b"", "", [])

    virtually(main)


def test_a_log_is_replayed_to_its_end_however_long_it_is() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, *([submitted(f"t{number}")] for number in range(200)))
        loaded = await loaded_after(engine)
        assert loaded.last == 201
        assert len(names(loaded)) == 200

    virtually(main)


def test_a_snapshot_stands_for_what_was_trimmed() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        await take_snapshot(engine)
        await write(engine, [submitted("b")])
        await engine.side.log.trim(LOG, before=3)
        loaded = await loaded_after(engine)
        assert (loaded.last, names(loaded), loaded.lost_tail) == (3, ["a", "b"], "")

    virtually(main)


def test_a_snapshot_that_no_row_names_yet_may_be_used() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")], [submitted("b")])
        await take_snapshot(engine)
        assert names(await loaded_after(engine)) == ["a", "b"]

    virtually(main)


def test_a_log_that_was_trimmed_without_a_snapshot_is_corrupt_and_says_so() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")], [submitted("b")])
        await engine.side.log.trim(LOG, before=3)
        with pytest.raises(LogCorrupt, match="begins at 3 and no snapshot covers"):
            await loaded_after(engine)

    virtually(main)


def test_a_snapshot_of_another_history_is_passed_over() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")], [submitted("b")])
        foreign = TaskTable()
        foreign.apply(EpochStarted(1, "elsewhere", 1))
        key = snapshot_key(0, 2, b"another digest")
        await engine.side.blobs.put(key, encode_snapshot(foreign, 2, b"another digest"))
        assert names(await loaded_after(engine)) == ["a", "b"]

    virtually(main)


def test_a_snapshot_ahead_of_the_log_shows_a_lost_tail_and_is_used() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("durable")])
        await engine.time_passes(1.5)
        await write(engine, [submitted("lost-by-the-log")])
        key = await take_snapshot(engine)
        data = await engine.side.blobs.get(key)
        engine.cut_power()
        await engine.time_passes(0.1)
        assert data is not None
        await engine.side.blobs.put(key, data)
        loaded = await loaded_after(engine)
        assert names(loaded) == ["durable", "lost-by-the-log"]
        assert (loaded.last, loaded.orphans) == (2, [key])
        assert "ends at 2, before its snapshot at 3" in loaded.lost_tail
        for epoch in (2, 3):
            await write(engine, [EpochStarted(epoch, "dies at once", 1_001, loaded.lost_tail)], epoch=epoch)
            again = await loaded_after(engine)
            assert names(again) == ["durable", "lost-by-the-log"]
            assert (again.last, again.table.epoch, again.orphans) == (1 + epoch, epoch, [key])

    virtually(main)


def test_once_a_later_epoch_has_gone_on_a_snapshot_ahead_of_the_log_is_of_the_past() -> None:
    """It may have been stored by one who was replaced, when the tail had been lost already."""

    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        table = (await loaded_after(engine)).table
        table.apply(submitted("never-in-this-log"))
        await write(engine, [EpochStarted(2, "successor", 1_001)], [SnapshotTaken(1_002, "key", 3)], epoch=2)
        key = snapshot_key(0, 9, b"elsewhere")
        await engine.side.blobs.put(key, encode_snapshot(table, 9, b"elsewhere"))
        loaded = await loaded_after(engine)
        assert (names(loaded), loaded.last, loaded.lost_tail) == (["a"], 4, "")
        assert loaded.orphans == [key]

    virtually(main)


def test_history_beyond_the_end_of_the_log_shows_a_lost_tail() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        await engine.side.state.put(projector_key(0), b"7")
        loaded = await loaded_after(engine)
        assert "ends at 2, the ledger has history up to 7" in loaded.lost_tail

    virtually(main)


def test_a_log_that_lost_everything_goes_on_from_its_snapshot() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        loaded = await loaded_after(engine)
        await engine.side.log.create("other")
        source = ShardSource(engine.side.log, engine.side.blobs, engine.side.state, "other", 0)
        await take_snapshot(engine)
        fresh = await load(source)
        assert (fresh.last, fresh.previous, names(fresh)) == (0, b"", ["a"])
        assert fresh.lost_tail
        assert loaded.lost_tail == ""

    virtually(main)


async def put_entry(engine: QueueEngine, frame: LogFrame) -> None:
    bounds = await engine.side.log.bounds(LOG)
    await engine.side.log.append(LOG, encode_log_frame(frame), expected=bounds.last)


def test_the_ghost_of_a_replaced_writer_is_read_past() -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        await begun(engine, epoch=2)
        await put_entry(engine, LogFrame(LOG_VERSION, 1, 1, b"a digest of the past", [Cancelled(1, ["a"])]))
        await write(engine, [submitted("b")], epoch=2)
        loaded = await loaded_after(engine)
        assert (names(loaded), loaded.last) == (["a", "b"], 5)
        assert str(loaded.table.tasks["a"].state) == "queued"

    virtually(main)


@pytest.mark.parametrize("previous", [b"", b"another entry"])
def test_an_entry_that_does_not_follow_the_one_before_it_is_corrupt(previous: bytes) -> None:
    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")])
        await put_entry(engine, LogFrame(LOG_VERSION, 1, 1, previous, [submitted("b")]))
        with pytest.raises(LogCorrupt, match="does not follow"):
            await loaded_after(engine)

    virtually(main)


def test_a_log_that_is_trimmed_while_it_is_read_is_read_again() -> None:
    """Its owner takes a snapshot and trims between our looking at the bounds and our reading."""

    async def main(engine: QueueEngine) -> None:
        await begun(engine, [submitted("a")], [submitted("b")])
        source = engine.source(engine.connect("successor"))
        trimming = TrimsOnce(source.blobs, engine)
        loaded = await load(ShardSource(source.log, trimming, source.state, LOG, 0))
        assert (names(loaded), loaded.last) == (["a", "b"], 3)
        assert trimming.has_trimmed

    virtually(main)


class TrimsOnce:
    """The port Blobs; after the first list the log is trimmed under a snapshot that the list did not show."""

    def __init__(self, blobs: object, engine: QueueEngine) -> None:
        assert isinstance(blobs, MemoryBlobs)
        self._blobs = blobs
        self._engine = engine
        self.has_trimmed = False
        self.put = blobs.put
        self.get = blobs.get
        self.delete = blobs.delete

    async def list(self, prefix: str) -> list[str]:
        keys = await self._blobs.list(prefix)
        if not self.has_trimmed:
            self.has_trimmed = True
            await take_snapshot(self._engine)
            await self._engine.side.log.trim(LOG, before=3)
        return keys


def test_others_have_their_turn_while_a_large_snapshot_is_restored() -> None:
    """Renewing the lease of this process among them."""
    table = TaskTable()
    count = 3 * PART
    table.apply(Submitted(1, [submission(f"t{number}", due_ms=10**9) for number in range(count)]))
    data = encode_snapshot(table, 1, b"")

    async def main(engine: QueueEngine) -> None:
        turns = 0
        await engine.side.blobs.put("snapshot", data)

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        found = await read_snapshot(engine.side.blobs, "snapshot")
        task.cancel()
        assert found is not None
        assert (found[0].parked.count, found[1]) == (count, 1)
        assert turns >= count // PART

    virtually(main)
