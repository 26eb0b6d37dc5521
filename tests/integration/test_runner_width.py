"""How much an agent may hold follows its measured duration, and what waits too long is handed back."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from ohmesh.model.task import OutcomeStatus
from tests.unit.runners.runner_harness import config, running


def test_twenty_thousand_tasks_have_one_outcome_each() -> None:
    async def scenario() -> None:
        async with running(config("add", hand_back_ms=30_000)) as host:
            leases = host.grant_many("add", [(number, 1) for number in range(20_000)])
            outcomes = await host.ended(*leases)
            assert Counter(outcome.status for outcome in outcomes) == {OutcomeStatus.SUCCEEDED: 20_000}
            assert await host.value(leases[12_345]) == 12_346

    asyncio.run(scenario())


def test_the_width_grows_for_a_fast_handler_and_shrinks_when_it_turns_slow() -> None:
    async def scenario() -> None:
        async with running(config("sleep", queue_ahead_ms=50)) as host:
            assert [spec.slots for spec in host.specs] == [2]
            while host.slots.get("sleep", 0) < 100:
                await host.ended(*host.grant_many("sleep", [(0,)] * 20))
            while host.slots["sleep"] > 4:
                await host.ended(host.grant("sleep", 0.1))
            assert max(slots for _, slots in host.slots_heard) <= 512

    asyncio.run(scenario())


def test_tasks_behind_a_slow_one_are_handed_back_and_the_agent_closes_until_there_is_room() -> None:
    async def scenario() -> None:
        async with running(config("sleep", "add", sync_processes=1)) as host:
            assert await host.value(host.grant("add", 1, 1)) == 2
            slow = host.grant("sleep", 1.0)
            waiting = host.grant_many("add", [(number, 1) for number in range(10)])
            outcomes = await host.ended(*waiting)
            assert {outcome.status for outcome in outcomes} == {OutcomeStatus.RETURNED}
            assert slow not in host.outcomes
            assert host.slots["add"] == 0
            assert await host.value(slow) == "slept"
            await host.until(lambda: host.slots["add"] > 0)
            assert await host.value(host.grant("add", 1, 2)) == 3

    asyncio.run(scenario())


def test_another_process_takes_what_waits_behind_a_task_that_turned_out_slow() -> None:
    async def scenario() -> None:
        async with running(config("sleep", sync_processes=2, hand_back_ms=20_000)) as host:
            await host.ended(*host.grant_many("sleep", [(0,)] * 50))  # it seems to be fast
            slow, *quick = host.grant_many("sleep", [(3,)] + [(0,)] * 40)
            await host.ended(*quick)
            assert slow not in host.outcomes
            assert {host.outcomes[lease].status for lease in quick} == {OutcomeStatus.SUCCEEDED}

    asyncio.run(scenario())


def test_nothing_runs_twice_although_it_was_recalled(tmp_path: Path) -> None:
    async def scenario() -> None:
        trace = tmp_path / "trace"
        async with running(config("sleep", "note", hand_back_ms=30)) as host:
            await host.ended(*host.grant_many("sleep", [(0,)] * 20))
            words: dict[int, str] = {}
            for number in range(400):
                if number % 40 == 0:
                    host.grant("sleep", 0.06)
                    host.pool._agents["sleep"].observe(0)
                word = f"word{number}"
                words[host.grant("note", str(trace), word)] = word
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await host.ended(*words)
            ran = Counter(trace.read_text().split())
            succeeded = {
                word
                for lease, word in words.items()
                if host.outcomes[lease].status is OutcomeStatus.SUCCEEDED
            }
            assert set(ran) == succeeded
            assert set(ran.values()) == {1}

    asyncio.run(scenario())


def test_an_agent_with_one_slot_never_runs_twice_at_once_on_a_host(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config("alone", "add", hand_back_ms=20_000)) as host:
            assert {spec.agent: spec.slots for spec in host.specs} == {"alone": 1, "add": 2}
            leases = host.grant_many("alone", [(str(tmp_path / "marker"),)] * 30)
            assert await host.do("add", 1, 2) == 3
            assert all([await host.value(lease) for lease in leases])

    asyncio.run(scenario())


def test_async_tasks_run_beside_each_other_up_to_the_agents_slots() -> None:
    async def scenario() -> None:
        async with running(config("sleep_async", async_slots=50, hand_back_ms=20_000)) as host:
            assert [spec.slots for spec in host.specs] == [50]
            leases = host.grant_many("sleep_async", [(0.5,)] * 60)
            await host.until(lambda: host.pool.statistics().running == 50)
            assert host.pool.statistics().waiting == 10
            await host.ended(*leases)

    asyncio.run(scenario())
