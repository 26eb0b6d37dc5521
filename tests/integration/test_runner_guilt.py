"""When a runner process dies, the guilty task counts an attempt and no other does."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec

from ohmesh.model.task import OutcomeStatus
from tests.unit.runners.runner_harness import config, running

RETURNED, CRASHED, TIMED_OUT = OutcomeStatus.RETURNED, OutcomeStatus.CRASHED, OutcomeStatus.TIMED_OUT
CANCELLED, SUCCEEDED = OutcomeStatus.CANCELLED, OutcomeStatus.SUCCEEDED


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()


def test_a_killed_process_crashes_the_task_that_ran_and_is_replaced() -> None:
    async def scenario() -> None:
        async with running(config("sleep", "add", sync_processes=1)) as host:
            lease = host.grant("sleep", 60)
            (pid,) = host.pool.statistics().process_ids
            started = time.time()
            await host.code_runs("sleep")
            os.kill(pid, signal.SIGKILL)
            (outcome,) = await host.ended(lease)
            assert outcome.status is CRASHED
            assert outcome.failure is not None
            assert outcome.failure.kind == "crash"
            assert abs(outcome.started_ms - started * 1000) < 10_000
            assert outcome.ended_ms >= outcome.started_ms
            await host.until(lambda: len(host.pool.statistics().process_ids) == 1)
            assert host.pool.statistics().process_ids != (pid,)
            assert await host.do("add", 1, 2) == 3

    asyncio.run(scenario())


def test_results_that_were_finished_but_not_sent_survive_a_crash() -> None:
    async def scenario() -> None:
        async with running(config("add", "evil", sync_processes=1, flush_us=10_000_000)) as host:
            assert await host.value(host.grant("add", 0, 0)) == 0  # from now on its duration is known
            await host.until(lambda: host.pool._agents["evil"].estimate_ns > 0)
            host.pool._agents["evil"].observe(1000)  # so it is sent in one frame with the others
            calls = host.grant_many("add", [(number, 1) for number in range(100)])
            guilty = host.grant("evil", "kills_itself")
            behind = host.grant_many("add", [(number, 1) for number in range(100)])
            await host.ended(*calls, guilty, *behind)
            assert [await host.value(lease) for lease in calls] == [number + 1 for number in range(100)]
            assert host.outcomes[guilty].status is CRASHED
            assert all(host.outcomes[lease].status in {RETURNED, SUCCEEDED} for lease in behind)

    asyncio.run(scenario())


def test_a_task_that_blocks_past_its_timeout_is_killed_and_innocents_behind_it_never_run(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        trace = tmp_path / "trace"
        async with running(config("note", "sleep", sync_processes=1)) as host:
            await host.value(host.grant("note", str(tmp_path / "first"), "x"))
            host.pool._agents["sleep"].observe(1000)  # a fast one that turns out slow
            guilty = host.grant("sleep", 60, timeout_ms=300)
            behind = host.grant_many("note", [(str(trace), f"word{number}") for number in range(10)])
            await host.ended(guilty, *behind)
            assert host.outcomes[guilty].status is TIMED_OUT
            assert {host.outcomes[lease].status for lease in behind} == {RETURNED}
            # They were handed back while the guilty one still ran, not because its process died.
            assert host.pool.statistics().deaths == 1
        assert not trace.exists()

    asyncio.run(scenario())


def test_the_timeout_counts_from_the_start_of_the_code_not_from_the_grant() -> None:
    async def scenario() -> None:
        async with running(config("sleep", sync_processes=1, hand_back_ms=20_000)) as host:
            leases = host.grant_many("sleep", [(0.15,)] * 4, timeout_ms=400)
            assert {outcome.status for outcome in await host.ended(*leases)} == {SUCCEEDED}

    asyncio.run(scenario())


def test_what_a_handler_started_dies_with_its_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config("spawn_and_wait", sync_processes=1)) as host:
            assert (
                await host.status(host.grant("spawn_and_wait", str(tmp_path / "pid"), timeout_ms=500))
                is TIMED_OUT
            )
            pid = int((tmp_path / "pid").read_text())
            await host.until(lambda: not is_alive(pid))

    asyncio.run(scenario())


def test_an_async_task_past_its_timeout_is_cancelled_and_its_process_lives() -> None:
    async def scenario() -> None:
        async with running(config("sleep_async")) as host:
            before = host.pool.statistics().process_ids
            innocent = host.grant("sleep_async", 0.6)
            (outcome,) = await host.ended(host.grant("sleep_async", 60, timeout_ms=100))
            assert outcome.status is TIMED_OUT
            assert outcome.failure is not None
            assert outcome.failure.kind == "timeout"
            assert await host.value(innocent) == "slept"
            assert host.pool.statistics().process_ids == before

    asyncio.run(scenario())


def test_an_async_task_that_ignores_its_cancellation_is_killed_and_innocents_are_handed_back() -> None:
    async def scenario() -> None:
        async with running(config("sleep_async", "stubborn")) as host:
            innocents = host.grant_many("sleep_async", [(60,)] * 5)
            guilty = host.grant("stubborn", timeout_ms=100)
            await host.ended(guilty, *innocents)
            assert host.outcomes[guilty].status is TIMED_OUT
            assert {host.outcomes[lease].status for lease in innocents} == {RETURNED}
            assert await host.do("sleep_async", 0) == "slept"

    asyncio.run(scenario())


def test_an_async_task_that_blocks_its_loop_is_the_guilty_one_of_many() -> None:
    async def scenario() -> None:
        for blocker in ("block_async", "block_in_part"):
            async with running(config("sleep_async", blocker)) as host:
                before = host.grant_many("sleep_async", [(60,)] * 5)
                guilty = host.grant(blocker, 60, timeout_ms=200)
                after = host.grant_many("sleep_async", [(60,)] * 5)
                await host.ended(guilty, *before, *after)
                assert host.outcomes[guilty].status is TIMED_OUT
                assert {host.outcomes[lease].status for lease in before + after} == {RETURNED}

    asyncio.run(scenario())


def test_a_blocked_async_process_stops_neither_the_parent_nor_other_processes() -> None:
    async def scenario() -> None:
        async with running(config("block_async", "sleep_async", "add", async_processes=2)) as host:
            beats: list[float] = []

            async def heart() -> None:
                while True:
                    beats.append(time.monotonic())
                    await asyncio.sleep(0.01)

            beating = asyncio.create_task(heart())
            blocked = host.grant("block_async", 60, timeout_ms=60_000)
            await host.code_runs("block_async")
            for _ in range(20):
                assert await host.do("add", 1, 2) == 3
                assert await host.do("sleep_async", 0.01) == "slept"
            assert len(beats) > 20
            assert blocked not in host.outcomes
            beating.cancel()

    asyncio.run(scenario())


def test_deaths_that_nobody_is_guilty_of_count_against_all_after_three_in_a_row() -> None:
    async def scenario() -> None:
        async with running(config("sleep_async", "crash_in_thread", unexplained_deaths_max=3)) as host:
            statuses = []
            for _ in range(3):
                assert await host.do("sleep_async", 0) == "slept"  # there is a process again
                other, poison = host.grant("sleep_async", 60), host.grant("crash_in_thread", 0.2)
                statuses.append((await host.status(poison), await host.status(other)))
            assert statuses == [(RETURNED, RETURNED), (RETURNED, RETURNED), (CRASHED, CRASHED)]

    asyncio.run(scenario())


def test_cancelling_reaches_waiting_running_and_blocking_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        trace = tmp_path / "trace"
        settings = config("sleep", "note", "sleep_async", "stubborn", sync_processes=1, hand_back_ms=20_000)
        async with running(settings) as host:
            blocking = host.grant("sleep", 60)
            queued = host.grant_many("note", [(str(trace), "ran")] * 5)
            asynchronous = host.grant("sleep_async", 60)
            stubborn = host.grant("stubborn")
            innocent = host.grant("sleep_async", 60)
            await host.started(blocking, asynchronous, stubborn, innocent)
            host.pool.cancel([blocking, *queued, asynchronous, 999_999])
            outcomes = await host.ended(blocking, *queued, asynchronous)
            assert {outcome.status for outcome in outcomes} == {CANCELLED}
            assert stubborn not in host.outcomes
            assert innocent not in host.outcomes
            host.pool.cancel([stubborn])
            await host.ended(stubborn, innocent)
            assert host.outcomes[stubborn].status is CANCELLED
            assert host.outcomes[innocent].status is RETURNED
        assert not trace.exists()

    asyncio.run(scenario())


def test_processes_killed_again_and_again_leave_one_outcome_and_at_most_one_run_for_each_task(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        trace = tmp_path / "trace"
        async with running(config("note", "add_async", unexplained_deaths_max=1000)) as host:
            descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - not paths, numbers
            killed: set[int] = set()

            def is_whole() -> bool:
                process_ids = host.pool.statistics().process_ids
                return len(process_ids) == 3 and killed.isdisjoint(process_ids)

            for round_number in range(6):
                await host.until(is_whole)
                words = host.grant_many("note", [(str(trace), f"{round_number}-{one}") for one in range(200)])
                sums = host.grant_many("add_async", [(one, 1) for one in range(200)])
                await host.ended(words[0])
                for pid in host.pool.statistics().process_ids:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                await host.ended(*words, *sums)
            await host.until(is_whole)
            assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - not paths, numbers
            assert host.pool.statistics().deaths == 18
            ran = trace.read_text().split()
            assert len(ran) == len(set(ran))
            values = [msgspec.msgpack.decode(one.value) for one in host.outcomes.values() if one.value]
            assert {value for value in values if isinstance(value, str)} <= set(ran)
            assert {one.status for one in host.outcomes.values()} <= {SUCCEEDED, CRASHED, RETURNED}
            # One task at most was running in each process that was killed.
            assert sum(one.status is CRASHED for one in host.outcomes.values()) <= 18

    asyncio.run(scenario())
