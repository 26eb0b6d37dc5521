"""The append protocol, clause by clause, on an engine that does what real ones were seen to do."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.engines.memory.faults import CallFate
from ohmesh.errors import Fenced
from ohmesh.ports.log import Log
from ohmesh.protocols.queue.rows import Released, Row, digest
from ohmesh.roles.log_writer import LogWriter, LogWriterConfig, TailLost
from ohmesh.simulator.entropy import SimulatedEntropy
from tests.unit.roles.queue_engine import LOG, QueueEngine, virtually


def row(number: int) -> list[Row]:
    return [Released([number])]


async def follow(engine: QueueEngine, writer: LogWriter) -> None:
    """Put the writer where the log ends."""
    history = engine.cluster.history(LOG)
    writer.seek(len(history), digest(history[-1].data) if history else b"")


def test_frames_follow_each_other_and_name_the_one_before() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        assert [await writer.append(1, row(number)) for number in range(3)] == [1, 2, 3]
        entries = engine.cluster.history(LOG)
        assert [frame.previous for frame in engine.frames()] == [
            b"",
            digest(entries[0].data),
            digest(entries[1].data),
        ]

    virtually(main)


@pytest.mark.parametrize("fate", list(CallFate))
def test_whatever_becomes_of_an_append_its_rows_are_in_the_log_once(fate: CallFate) -> None:
    """The acknowledgement lost after the commit, the request lost, late, or refused without a reason."""

    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        engine.cluster.script_appends(fate)
        assert await writer.append(1, row(1)) == 1
        assert await writer.append(1, row(2)) == 2
        await asyncio.sleep(10)
        assert engine.rows() == [Released([1]), Released([2])]

    virtually(main)


def test_an_append_that_lands_late_is_refused_once_its_repetition_has_landed() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        engine.cluster.script_appends(CallFate.LATE, CallFate.LOSE_ACK, CallFate.LATE)
        for number in range(4):
            await writer.append(1, row(number))
        await asyncio.sleep(10)
        assert engine.rows() == [Released([number]) for number in range(4)]
        assert writer.repeats >= 2

    virtually(main)


def test_a_writer_waits_for_an_engine_that_is_away() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        engine.cluster.kill_server()
        appending = asyncio.ensure_future(writer.append(1, row(1)))
        await asyncio.sleep(30)
        assert not appending.done()
        engine.cluster.start_server()
        assert await appending == 1

    virtually(main)


def test_a_refusal_because_of_ones_own_entry_is_no_replacement() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        engine.cluster.script_appends(CallFate.LOSE_ACK)
        assert await writer.append(7, row(1)) == 1
        assert writer.last == 1

    virtually(main)


def test_a_writer_that_was_replaced_is_told_so_and_writes_nothing() -> None:
    async def main(engine: QueueEngine) -> None:
        old, new = engine.writer(), engine.writer()
        await old.append(1, row(1))
        await follow(engine, new)
        await new.append(2, row(2))
        with pytest.raises(Fenced):
            await old.append(1, row(3))
        assert engine.rows() == [Released([1]), Released([2])]

    virtually(main)


def test_a_replacement_is_seen_although_its_entries_are_trimmed_away() -> None:
    async def main(engine: QueueEngine) -> None:
        old, new = engine.writer(), engine.writer()
        await old.append(1, row(1))
        await follow(engine, new)
        for number in range(2, 6):
            await new.append(2, row(number))
        await engine.side.log.trim(LOG, before=5)
        with pytest.raises(Fenced):
            await old.append(1, row(9))

    virtually(main)


def test_a_log_that_has_become_shorter_is_noticed() -> None:
    async def main(engine: QueueEngine) -> None:
        writer = engine.writer()
        await writer.append(1, row(1))
        await asyncio.sleep(1.5)
        await writer.append(1, row(2))
        engine.cut_power()
        await asyncio.sleep(0.1)
        with pytest.raises(TailLost):
            await writer.append(1, row(3))

    virtually(main)


def test_entries_of_another_under_sequences_that_are_used_again_mean_replaced() -> None:
    async def main(engine: QueueEngine) -> None:
        old = engine.writer()
        await old.append(1, row(1))
        await asyncio.sleep(1.5)
        await old.append(1, row(2))
        engine.cut_power()
        await asyncio.sleep(0.1)
        new = engine.writer()
        await follow(engine, new)
        for number in range(3):
            await new.append(2, row(10 + number))
        with pytest.raises(Fenced):
            await old.append(1, row(3))

    virtually(main)


def test_a_ghost_whose_sequence_is_used_again_is_written_past() -> None:
    """The smallest case: an append is on its way, the power goes, the log ends one earlier, a successor begins its
    epoch there, and now the ghost fits."""

    async def main(engine: QueueEngine) -> None:
        old = engine.writer()
        await old.append(1, row(1))
        await asyncio.sleep(1.5)
        await old.append(1, row(2))
        engine.cluster.script_appends(CallFate.LATE)
        ghost = asyncio.ensure_future(old.append(1, row(666)))
        await asyncio.sleep(0)
        engine.cut_power()
        ghost.cancel()
        await asyncio.sleep(0.1)
        new = engine.writer()
        await follow(engine, new)
        assert await new.append(2, row(20)) == 2
        await asyncio.sleep(10)
        assert [frame.epoch for frame in engine.frames()] == [1, 2, 1]
        assert await new.append(2, row(21)) == 4
        assert new.ghosts == 1
        assert await new.append(2, row(22)) == 5
        assert engine.frames()[3].previous == digest(engine.cluster.history(LOG)[2].data)

    virtually(main)


def test_an_entry_that_came_before_our_epoch_began_is_no_ghost() -> None:
    """Its writer was right, and we had not read it yet."""

    async def main(engine: QueueEngine) -> None:
        old, new = engine.writer(), engine.writer()
        await old.append(1, row(1))
        with pytest.raises(Fenced):
            await new.append(2, row(2))
        assert engine.rows() == [Released([1])]

    virtually(main)


def test_an_append_that_was_cancelled_may_land_and_its_successor_finds_it() -> None:
    async def main(engine: QueueEngine) -> None:
        writer, successor = engine.writer(), engine.writer()
        engine.cluster.script_appends(CallFate.LOSE_ACK)
        appending = asyncio.ensure_future(writer.append(1, row(1)))
        await asyncio.sleep(0.5)
        appending.cancel()
        with pytest.raises(Fenced):
            await successor.append(2, row(2))
        await follow(engine, successor)
        assert await successor.append(2, row(2)) == 2

    virtually(main)


class Misnumbers:
    """The port Log; one acknowledgement names a sequence that is not ours."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.read = log.read
        self.bounds = log.bounds
        self.create = log.create
        self.trim = log.trim
        self.has_misnumbered = False

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        if not self.has_misnumbered:
            self.has_misnumbered = True
            return expected + 7
        return await self._log.append(name, data, expected=expected)


def test_an_acknowledgement_of_another_sequence_is_none() -> None:
    async def main(engine: QueueEngine) -> None:
        log = Misnumbers(engine.side.log)
        writer = LogWriter(log, LOG, SimulatedEntropy(1, "writer"), LogWriterConfig())
        assert await writer.append(1, row(1)) == 1
        assert log.has_misnumbered
        assert engine.rows() == [Released([1])]

    virtually(main)
