"""Whatever user code does, its task has one clear outcome, and the pool goes on."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.model.task import OutcomeStatus
from tests.unit.runners.runner_harness import config, running

SUCCEEDED, FAILED, PERMANENT = OutcomeStatus.SUCCEEDED, OutcomeStatus.FAILED, OutcomeStatus.FAILED_PERMANENTLY
CRASHED, TIMED_OUT = OutcomeStatus.CRASHED, OutcomeStatus.TIMED_OUT

DEEDS = [
    ("prints", SUCCEEDED, "", ""),
    ("forks", SUCCEEDED, "", ""),
    ("forks_by_multiprocessing", SUCCEEDED, "", ""),
    ("returns_large", SUCCEEDED, "", ""),
    ("closes_everything", CRASHED, "crash", "SIGKILL"),
    ("raises", FAILED, "ValueError", "bad value"),
    ("raises_base", FAILED, "BaseException", "the base"),
    ("raises_system_exit", FAILED, "SystemExit", "3"),
    ("raises_keyboard_interrupt", FAILED, "KeyboardInterrupt", ""),
    ("raises_generator_exit", FAILED, "GeneratorExit", ""),
    ("raises_cancelled", FAILED, "CancelledError", ""),
    ("raises_permanent", PERMANENT, "Permanent", "never again"),
    ("raises_retry_later", FAILED, "RetryLater", "busy"),
    ("raises_unprintable", FAILED, "Unprintable", "__str__ raised ValueError"),
    ("raises_surrogates", FAILED, "ValueError", "\\ud800"),
    ("recurses", FAILED, "RecursionError", "recursion"),
    ("returns_unencodable", PERMANENT, "ResultRefused", "Unencodable"),
    ("returns_cyclic", PERMANENT, "ResultRefused", "list"),
    ("returns_huge_number", PERMANENT, "ResultRefused", "int"),
    ("returns_huge", PERMANENT, "ResultRefused", "50000005 bytes"),
    ("writes_garbage", CRASHED, "crash", "SIGKILL"),
    ("announces_a_huge_frame", CRASHED, "crash", "SIGKILL"),
    ("exits", CRASHED, "crash", "exit code 7"),
    ("kills_itself", CRASHED, "crash", "SIGKILL"),
    ("segfaults", CRASHED, "crash", "SIGSEGV"),
    ("never_returns", TIMED_OUT, "timeout", "300 ms"),
]


@pytest.mark.parametrize("agent", ["evil", "evil_async"])
def test_every_evil_deed_has_one_clear_outcome_and_the_next_task_succeeds(agent: str) -> None:
    async def scenario() -> None:
        settings = config("add", "add_async", agent, sync_processes=1, value_max_bytes=400_000)
        async with running(settings) as host:
            for deed, status, kind, message in DEEDS:
                lease = host.grant(agent, deed, timeout_ms=300 if deed == "never_returns" else 20_000)
                while await host.status(lease) is OutcomeStatus.RETURNED:  # its process was being replaced
                    lease = host.grant(agent, deed, timeout_ms=300 if deed == "never_returns" else 20_000)
                outcome = host.outcomes[lease]
                assert outcome.status is status, (deed, outcome)
                if outcome.failure is None:
                    assert status is SUCCEEDED
                else:
                    assert outcome.failure.kind == kind, (deed, outcome)
                    assert message in outcome.failure.message, (deed, outcome)
                assert await host.do("add" if agent == "evil" else "add_async", 1, 2) == 3

    asyncio.run(scenario())


def test_a_fork_that_comes_back_answers_nothing_and_spoils_no_other_result() -> None:
    async def scenario() -> None:
        for agent, other in (("evil", "add"), ("evil_async", "add_async")):
            async with running(config(agent, other, sync_processes=1, hand_back_ms=20_000)) as host:
                for _ in range(40):
                    fork = host.grant(agent, "forks")
                    sums = host.grant_many(other, [(number, 1) for number in range(20)])
                    assert await host.value(fork) == "forked"
                    assert [await host.value(lease) for lease in sums] == list(range(1, 21))
                assert host.pool.statistics().deaths == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("agent", ["evil", "evil_async"])
def test_a_handler_that_overwrites_the_shared_page_ends_its_task_and_not_the_pool(agent: str) -> None:
    async def scenario() -> None:
        async with running(config(agent, "add", "add_async", sync_processes=1)) as host:
            lease = host.grant(agent, "scribbles", timeout_ms=500)
            await host.ended(lease)
            assert host.outcomes[lease].status is not SUCCEEDED
            assert await host.do("add" if agent == "evil" else "add_async", 1, 2) == 3

    asyncio.run(scenario())


def test_a_traceback_shows_the_users_frames_only_and_is_bounded() -> None:
    async def scenario() -> None:
        async with running(config("evil", traceback_max_chars=1500)) as host:
            raised, recursed = await host.ended(host.grant("evil", "raises"), host.grant("evil", "recurses"))
            assert raised.failure is not None
            assert recursed.failure is not None
            assert "runner_agents.py" in raised.failure.traceback
            assert "/ohmesh/" not in raised.failure.traceback
            assert "ValueError: bad value" in raised.failure.traceback
            assert len(recursed.failure.traceback) < 1600

    asyncio.run(scenario())


def test_a_handlers_wish_for_a_delay_is_told() -> None:
    async def scenario() -> None:
        async with running(config("evil")) as host:
            (outcome,) = await host.ended(host.grant("evil", "raises_retry_later"))
            assert outcome.retry_after_ms == 1234

    asyncio.run(scenario())


def test_exit_in_a_part_of_an_async_handler_fails_its_task_and_spares_the_process() -> None:
    async def scenario() -> None:
        async with running(config("exit_in_part", "sleep_async")) as host:
            before = host.pool.statistics().process_ids
            innocent = host.grant("sleep_async", 0.3)
            (outcome,) = await host.ended(host.grant("exit_in_part"))
            assert outcome.status is FAILED
            assert outcome.failure is not None
            assert "SystemExit" in outcome.failure.message
            assert await host.value(innocent) == "slept"
            assert host.pool.statistics().process_ids == before

    asyncio.run(scenario())


def test_arguments_that_do_not_fit_are_refused_for_good_with_the_parameters_name() -> None:
    async def scenario() -> None:
        async with running(config("add")) as host:
            missing, wrong, surplus = await host.ended(
                host.grant("add", 1), host.grant("add", 1, "two"), host.grant("add", 1, 2, 3)
            )
            for outcome, words in ((missing, "'second'"), (wrong, "'second'"), (surplus, "too many")):
                assert outcome.status is PERMANENT
                assert outcome.failure is not None
                assert outcome.failure.kind == "ArgumentsRefused"
                assert words in outcome.failure.message

    asyncio.run(scenario())
