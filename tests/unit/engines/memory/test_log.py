"""The log of the memory engine: the fence, trimming, and every way in which an append can end."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.engines.memory.faults import CallFate, CallFaults, EngineFaults, EngineLimits
from ohmesh.errors import AppendUnresolved, EngineFailed, EngineUnavailable, PayloadTooLarge, SequenceConflict
from ohmesh.ports.log import Bounds
from tests.unit.simulator.passing_time import in_virtual_time, pass_time

LOG = "log"


async def new_log(cluster: MemoryCluster, process: str = "writer") -> MemoryEngine:
    engine = cluster.connect(process)
    await engine.log.create(LOG)
    return engine


async def data_of(engine: MemoryEngine) -> list[bytes]:
    return [entry.data for entry in await engine.log.read(LOG, first=1, limit=1000)]


def test_an_append_lands_only_where_the_log_ends() -> None:
    async def main() -> None:
        engine = await new_log(MemoryCluster())
        assert await engine.log.bounds(LOG) == Bounds(1, 0)
        assert await engine.log.append(LOG, b"one", expected=0) == 1
        for expected in (0, 2):
            with pytest.raises(SequenceConflict) as refused:
                await engine.log.append(LOG, b"other", expected=expected)
            assert (refused.value.expected, refused.value.last) == (expected, 1)
        assert await engine.log.append(LOG, b"two", expected=1) == 2
        assert await data_of(engine) == [b"one", b"two"]

    in_virtual_time(main())


@given(st.integers(1, 12), st.lists(st.integers(0, 15), max_size=4), st.integers(0, 15), st.integers(1, 15))
def test_trimming_keeps_the_last_entry_and_the_numbers_of_the_rest(
    count: int, cuts: list[int], first: int, limit: int
) -> None:
    async def main() -> None:
        engine = await new_log(MemoryCluster())
        for number in range(count):
            await engine.log.append(LOG, b"%d" % (number + 1), expected=number)
        for before in cuts:
            await engine.log.trim(LOG, before=before)
        lowest = min(count, max([1, *cuts]))
        assert await engine.log.bounds(LOG) == Bounds(lowest, count)
        entries = await engine.log.read(LOG, first=first, limit=limit)
        wanted = list(range(max(first, lowest), count + 1))[:limit]
        assert [(entry.sequence, entry.data) for entry in entries] == [(n, b"%d" % n) for n in wanted]

    in_virtual_time(main())


def test_a_log_that_was_not_made_fails_clearly() -> None:
    async def main() -> None:
        engine = MemoryCluster().connect("a")
        for attempt in (
            engine.log.append("none", b"", expected=0),
            engine.log.read("none", first=1, limit=1),
            engine.log.bounds("none"),
        ):
            with pytest.raises(EngineFailed, match="'none'"):
                await attempt

    in_virtual_time(main())


def test_an_entry_above_the_limit_of_a_real_server_is_refused() -> None:
    async def main() -> None:
        engine = await new_log(MemoryCluster())
        with pytest.raises(PayloadTooLarge):
            await engine.log.append(LOG, bytes(1024 * 1024 + 1), expected=0)

    in_virtual_time(main())


@pytest.mark.parametrize(
    ("fate", "at_timeout", "in_the_end"),
    [
        (CallFate.LOSE_ACK, [b"x"], [b"x"]),
        (CallFate.LOSE_REQUEST, [], []),
        (CallFate.REFUSE, [], []),
        (CallFate.LATE, [], [b"x"]),
    ],
)
def test_an_unresolved_append_may_have_landed_or_not_or_land_later(
    fate: CallFate, at_timeout: list[bytes], in_the_end: list[bytes]
) -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        cluster.script_appends(fate)
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"x", expected=0)
        assert await data_of(engine) == at_timeout
        await pass_time(10.0)
        assert await data_of(engine) == in_the_end

    in_virtual_time(main())


def test_a_late_append_is_refused_when_another_has_taken_its_place() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        cluster.script_appends(CallFate.LATE)
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"late", expected=0)
        await engine.log.append(LOG, b"taken", expected=0)
        await pass_time(10.0)
        assert await data_of(engine) == [b"taken"]

    in_virtual_time(main())


def test_a_retry_of_an_append_whose_ack_was_lost_looks_fenced() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        cluster.script_appends(CallFate.LOSE_ACK)
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"x", expected=0)
        with pytest.raises(SequenceConflict):
            await engine.log.append(LOG, b"x", expected=0)

    in_virtual_time(main())


def test_of_the_appends_in_flight_when_the_server_is_killed_some_land_and_none_is_answered() -> None:
    async def main(seed: int) -> int:
        cluster = MemoryCluster(faults=EngineFaults(append=CallFaults(delay_ms=(10, 20))), seed=seed)
        engine = await new_log(cluster)
        task = asyncio.create_task(engine.log.append(LOG, b"x", expected=0))
        await pass_time(0.001)
        cluster.kill_server()
        with pytest.raises(AppendUnresolved):
            await task
        cluster.start_server()
        await pass_time(1.0)
        return len(await data_of(engine))

    landed = sum(in_virtual_time(main(seed)) for seed in range(100))
    assert 30 < landed < 70


def test_everything_acknowledged_survives_the_kill_of_the_server() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=1000))
        engine = await new_log(cluster)
        for number in range(20):
            await engine.log.append(LOG, b"%d" % number, expected=number)
        cluster.kill_server()
        with pytest.raises(AppendUnresolved, match="not connected"):
            await engine.log.append(LOG, b"", expected=20)
        cluster.start_server()
        await pass_time(1.0)
        assert await data_of(engine) == [b"%d" % number for number in range(20)]

    in_virtual_time(main())


def test_an_append_while_disconnected_fails_at_once_and_never_lands() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        cluster.kill_server()
        before = asyncio.get_running_loop().time()
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"ghost", expected=0)
        assert asyncio.get_running_loop().time() == before
        cluster.start_server()
        await pass_time(5.0)
        assert await data_of(engine) == []

    in_virtual_time(main())


def test_a_power_cut_takes_the_tail_and_its_sequences_are_used_again() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=1000), keeps_history=True)
        engine = await new_log(cluster)
        await engine.log.append(LOG, b"durable", expected=0)
        await pass_time(1.5)
        await engine.log.append(LOG, b"lost", expected=1)
        assert cluster.power_cut() == 1
        cluster.start_server()
        await pass_time(1.0)
        assert await engine.log.bounds(LOG) == Bounds(1, 1)
        assert await engine.log.append(LOG, b"again", expected=1) == 2
        assert [entry.data for entry in cluster.history(LOG)] == [b"durable", b"again"]

    in_virtual_time(main())


def test_a_power_cut_can_take_a_whole_log() -> None:
    async def main() -> None:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=60_000))
        engine = await new_log(cluster)
        for number in range(5):
            await engine.log.append(LOG, b"", expected=number)
        await engine.log.trim(LOG, before=4)
        cluster.power_cut()
        cluster.start_server()
        await pass_time(1.0)
        assert await engine.log.bounds(LOG) == Bounds(1, 0)

    in_virtual_time(main())


def test_a_power_cut_takes_nothing_from_a_server_that_syncs_every_append() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        await engine.log.append(LOG, b"kept", expected=0)
        assert cluster.power_cut() == 0
        cluster.start_server()
        await pass_time(1.0)
        assert await data_of(engine) == [b"kept"]

    in_virtual_time(main())


def test_a_torn_power_cut_leaves_a_prefix() -> None:
    async def main(seed: int) -> int:
        cluster = MemoryCluster(faults=EngineFaults(durable_every_ms=1000), seed=seed)
        engine = await new_log(cluster)
        for number in range(9):
            await pass_time(0.1)
            await engine.log.append(LOG, b"%d" % number, expected=number)
        cluster.power_cut(torn=True)
        cluster.start_server()
        await pass_time(1.0)
        kept = await data_of(engine)
        assert kept == [b"%d" % number for number in range(len(kept))]
        return len(kept)

    kept = [in_virtual_time(main(seed)) for seed in range(30)]
    assert min(kept) < 3
    assert max(kept) > 6


def test_what_a_paused_server_was_sent_lands_after_the_client_gave_up() -> None:
    async def main() -> None:
        cluster = MemoryCluster(limits=EngineLimits(call_timeout_ms=2000))
        engine = await new_log(cluster)
        cluster.pause_server()
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"ghost", expected=0)
        await pass_time(5.0)
        assert not engine.is_online
        cluster.resume_server()
        await pass_time(1.0)
        assert await data_of(engine) == [b"ghost"]

    in_virtual_time(main())


def test_a_partitioned_writer_is_unresolved_and_a_reader_unavailable() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = await new_log(cluster)
        cluster.partition("writer")
        with pytest.raises(AppendUnresolved):
            await engine.log.append(LOG, b"x", expected=0)
        with pytest.raises(EngineUnavailable):
            await engine.log.read(LOG, first=1, limit=1)
        cluster.heal("writer")
        await pass_time(1.0)
        assert await data_of(engine) == []

    in_virtual_time(main())


def test_a_crashed_writer_gets_no_answer_and_writes_no_more() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine, reader = await new_log(cluster), cluster.connect("reader")
        cluster.script_appends(CallFate.LOSE_REQUEST)
        task = asyncio.create_task(engine.log.append(LOG, b"x", expected=0))
        await pass_time(0.1)
        cluster.crash("writer")
        with pytest.raises(AppendUnresolved):
            await task
        with pytest.raises(AppendUnresolved, match="closed"):
            await engine.log.append(LOG, b"x", expected=0)
        assert await data_of(reader) == []

    in_virtual_time(main())


def test_chances_of_an_append_are_kept() -> None:
    async def main() -> tuple[int, int]:
        faults = CallFaults(ack_lost=0.2, late=0.1, refused=0.1, slow=0.2, delay_ms=(1, 2))
        cluster = MemoryCluster(faults=EngineFaults(append=faults), seed=3)
        engine = await new_log(cluster)
        unresolved = 0
        for _ in range(400):
            try:
                await engine.log.append(LOG, b"", expected=(await engine.log.bounds(LOG)).last)
            except AppendUnresolved:
                unresolved += 1
        return unresolved, (await engine.log.bounds(LOG)).last

    unresolved, landed = in_virtual_time(main())
    assert 100 < unresolved < 220
    assert 400 - unresolved < landed < 400


def test_history_keeps_what_was_trimmed() -> None:
    async def main() -> None:
        cluster = MemoryCluster(keeps_history=True)
        engine = await new_log(cluster)
        for number in range(5):
            await engine.log.append(LOG, b"%d" % number, expected=number)
        await engine.log.trim(LOG, before=5)
        assert [entry.data for entry in cluster.history(LOG)] == [b"0", b"1", b"2", b"3", b"4"]
        assert await data_of(engine) == [b"4"]

    in_virtual_time(main())
