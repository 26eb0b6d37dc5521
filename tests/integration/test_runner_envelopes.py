"""An envelope in real runner processes: its items in turn, each with its own fate, none of the finished ones lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from ohmesh.model.task import ItemFailure, Outcome, OutcomeStatus
from tests.unit.runners.runner_harness import Host, config, running

OPENED, SUCCEEDED, RETURNED = OutcomeStatus.OPENED, OutcomeStatus.SUCCEEDED, OutcomeStatus.RETURNED
AGENTS = ("act", "act_async")


def values_of(outcome: Outcome) -> list[object]:
    found: list[object] = msgspec.msgpack.decode(outcome.value) if outcome.value else []
    return found


def finished_and_failed(outcome: Outcome) -> tuple[list[int], list[ItemFailure]]:
    assert outcome.opened is not None
    return outcome.opened.finished, outcome.opened.failed


async def end_of(
    host: Host, agent: str, deeds: list[str], path: Path, *, timeout_ms: int = 20_000
) -> Outcome:
    lease = host.grant_envelope(agent, [(deed, str(path)) for deed in deeds], timeout_ms=timeout_ms)
    (outcome,) = await host.ended(lease)
    return outcome


@pytest.mark.parametrize("agent", AGENTS)
def test_an_envelope_that_succeeds_has_the_values_of_its_items_in_order(agent: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config(agent, envelope_ms=10_000)) as host:
            deeds = [f"do {number}" for number in range(300)]
            outcome = await end_of(host, agent, deeds, tmp_path / "log")
            assert (outcome.status, values_of(outcome)) == (SUCCEEDED, deeds)
            assert 0 < outcome.started_ms <= outcome.ended_ms

    asyncio.run(scenario())


@pytest.mark.parametrize("agent", AGENTS)
def test_one_that_fails_fails_alone_and_the_others_go_on(agent: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config(agent, envelope_ms=10_000)) as host:
            outcome = await end_of(host, agent, ["a", "raise", "b"], tmp_path / "log")
            finished, (failure,) = finished_and_failed(outcome)
            assert (outcome.status, finished, values_of(outcome)) == (OPENED, [0, 2], ["a", "b"])
            assert (failure.index, failure.status) == (1, OutcomeStatus.FAILED)
            assert failure.failure is not None
            assert failure.failure.kind == "ValueError"

    asyncio.run(scenario())


@pytest.mark.parametrize("agent", AGENTS)
def test_one_that_kills_its_process_is_the_only_one_to_blame(agent: str, tmp_path: Path) -> None:
    """Those before it are finished (all but what ended in the last instant), those after it were not begun."""

    async def scenario() -> None:
        async with running(config(agent, sync_processes=1, envelope_ms=10_000)) as host:
            deeds = ["a", "sleep 0.01", "die", "c", "d"]
            outcome = await end_of(host, agent, deeds, tmp_path / "log")
            finished, (failure,) = finished_and_failed(outcome)
            assert outcome.status is OPENED
            assert finished in ([0], [0, 1])
            assert values_of(outcome) == deeds[: len(finished)]
            assert (failure.index, failure.status) == (2, OutcomeStatus.CRASHED)
            assert "c" not in (tmp_path / "log").read_text().split()

    asyncio.run(scenario())


@pytest.mark.parametrize("agent", AGENTS)
def test_each_item_has_the_whole_timeout_and_none_has_more(agent: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config(agent, sync_processes=1, envelope_ms=60_000)) as host:
            deeds = ["sleep 0.3"] * 3 + ["sleep 60", "c"]
            outcome = await end_of(host, agent, deeds, tmp_path / "log", timeout_ms=500)
            finished, (failure,) = finished_and_failed(outcome)
            assert (finished, failure.index) == ([0, 1, 2], 3)
            assert failure.status is OutcomeStatus.TIMED_OUT

    asyncio.run(scenario())


@pytest.mark.parametrize("agent", AGENTS)
def test_an_envelope_of_slow_tasks_comes_back_after_its_first_ones(agent: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config(agent, envelope_ms=20)) as host:
            outcome = await end_of(host, agent, ["sleep 0.05"] * 100, tmp_path / "log")
            finished, failed = finished_and_failed(outcome)
            assert outcome.status is OPENED
            assert (finished, failed) == ([0], [])

    asyncio.run(scenario())


def test_one_in_which_much_fails_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config("act", envelope_ms=10_000)) as host:
            outcome = await end_of(host, "act", ["raise"] * 100, tmp_path / "log")
            finished, failed = finished_and_failed(outcome)
            assert finished == []
            assert 1 <= len(failed) < 20

    asyncio.run(scenario())


def test_one_that_is_cancelled_while_it_runs_keeps_what_was_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config("act", sync_processes=1, envelope_ms=60_000, cancel_grace_ms=50)) as host:
            deeds = ["a", "sleep 60", "b"]
            lease = host.grant_envelope("act", [(deed, str(tmp_path / "log")) for deed in deeds])
            log = tmp_path / "log"
            await host.until(lambda: log.exists() and b"sleep" in log.read_bytes())
            host.pool.cancel([lease])
            (outcome,) = await host.ended(lease)
            finished, failed = finished_and_failed(outcome)
            assert finished in ([], [0])
            assert failed == []

    asyncio.run(scenario())


def test_what_was_not_begun_when_the_pool_stops_is_handed_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(config("act", sync_processes=1, envelope_ms=60_000)) as host:
            calls = [(deed, str(tmp_path / "log")) for deed in ["sleep 60", "a"]]
            leases = [host.grant_envelope("act", calls) for _ in range(3)]
            await host.until((tmp_path / "log").exists)
            await host.pool.stop(grace_s=0.1)
            outcomes = await host.ended(*leases)
            assert Counter(outcome.status for outcome in outcomes) == {RETURNED: 3}

    asyncio.run(scenario())
