"""The runner without child processes: one outcome for each grant, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

import msgspec
import pytest

from ohmesh.errors import Permanent, RetryLater
from ohmesh.handlers.declaration import agent
from ohmesh.handlers.loading import handlers_of
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.in_process import InProcessRunner
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.run import run_virtual

Status = OutcomeStatus


@agent(kind="double")
def double(number: int) -> int:
    return 2 * number


@agent(kind="nap")
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"


@agent(kind="stubborn", slots=3)
async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            continue


@agent(kind="moody")
def moody(how: str) -> None:
    raise {
        "permanent": Permanent("never"),
        "later": RetryLater("soon", delay_ms=700),
        "exit": SystemExit(3),
        "plain": ValueError("bad"),
    }[how]


@agent(kind="heavy")
def heavy() -> bytes:
    return b"x" * 2000


AGENTS = (double, nap, stubborn, moody, heavy)


class Host:
    """Grants, and keeps what it hears."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}
        config = RunnerConfig(targets=(), value_max_bytes=1000)
        clock = SimulatedClock(asyncio.get_running_loop())
        self.runner = InProcessRunner(handlers_of(AGENTS), clock, config=config)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            assert outcome.lease not in self.outcomes, "an outcome is reported once"
            self.outcomes[outcome.lease] = outcome

    def grant(self, agent_name: str, *arguments: object, lease: int = 1, timeout_ms: int = 0) -> None:
        payload = msgspec.msgpack.encode([list(arguments), {}])
        self.runner.run([Grant(lease, f"task-{lease}", agent_name, payload, 1, timeout_ms)])

    async def heard(self, lease: int = 1) -> Outcome:
        while lease not in self.outcomes:
            await asyncio.sleep(0.01)
        return self.outcomes[lease]


def with_host(story: Callable[[Host], Coroutine[object, object, None]]) -> None:
    async def main() -> None:
        host = Host()
        await host.runner.start(host.report, lambda agent_name, slots: None)
        await story(host)

    run_virtual(main)


def test_sync_and_async_code_gives_its_value() -> None:
    async def story(host: Host) -> None:
        host.grant("double", 21, lease=1)
        host.grant("nap", 5.0, lease=2)
        first, second = await host.heard(1), await host.heard(2)
        assert (first.status, msgspec.msgpack.decode(first.value)) == (Status.SUCCEEDED, 42)
        assert (second.status, msgspec.msgpack.decode(second.value)) == (Status.SUCCEEDED, "rested")
        assert second.ended_ms - second.started_ms == 5000

    with_host(story)


@pytest.mark.parametrize(
    ("how", "status", "kind", "retry_after_ms"),
    [
        ("permanent", Status.FAILED_PERMANENTLY, "Permanent", -1),
        ("later", Status.FAILED, "RetryLater", 700),
        ("exit", Status.FAILED, "SystemExit", -1),
        ("plain", Status.FAILED, "ValueError", -1),
    ],
)
def test_what_code_raises_is_its_outcome(how: str, status: Status, kind: str, retry_after_ms: int) -> None:
    async def story(host: Host) -> None:
        host.grant("moody", how)
        outcome = await host.heard()
        assert outcome.failure is not None
        assert (outcome.status, outcome.failure.kind, outcome.retry_after_ms) == (
            status,
            kind,
            retry_after_ms,
        )

    with_host(story)


def test_a_result_that_is_too_large_is_refused_for_good() -> None:
    async def story(host: Host) -> None:
        host.grant("heavy")
        outcome = await host.heard()
        assert outcome.status is Status.FAILED_PERMANENTLY

    with_host(story)


def test_async_code_ends_with_its_timeout() -> None:
    async def story(host: Host) -> None:
        host.grant("nap", 60.0, timeout_ms=2_000)
        outcome = await host.heard()
        assert outcome.status is Status.TIMED_OUT
        assert outcome.ended_ms - outcome.started_ms == 2_000

    with_host(story)


def test_code_that_does_not_yield_to_its_timeout_is_reported_after_the_grace() -> None:
    async def story(host: Host) -> None:
        host.grant("stubborn", timeout_ms=2_000)
        outcome = await host.heard()
        assert outcome.status is Status.TIMED_OUT
        assert outcome.ended_ms - outcome.started_ms == 2_000 + RunnerConfig(targets=()).cancel_grace_ms
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.get_coro().close()  # it would outlive the loop, as it is meant to

    with_host(story)


def test_what_is_cancelled_before_it_begins_never_runs() -> None:
    async def story(host: Host) -> None:
        host.grant("double", 1)
        host.runner.cancel([1])
        assert (await host.heard()).status is Status.CANCELLED

    with_host(story)


def test_what_runs_is_cancelled() -> None:
    async def story(host: Host) -> None:
        host.grant("nap", 60.0)
        await asyncio.sleep(1)
        host.runner.cancel([1])
        assert (await host.heard()).status is Status.CANCELLED

    with_host(story)


def test_stopping_hands_back_what_has_not_begun_and_what_outlasts_the_grace() -> None:
    async def story(host: Host) -> None:
        host.grant("nap", 1.0, lease=1)
        host.grant("nap", 60.0, lease=2)
        await asyncio.sleep(0.1)
        host.grant("nap", 1.0, lease=3)
        await host.runner.stop(grace_s=5.0)
        host.grant("nap", 1.0, lease=4)
        await host.heard(4)
        found = {lease: outcome.status for lease, outcome in host.outcomes.items()}
        returned = dict.fromkeys((2, 3, 4), Status.RETURNED)
        assert found == {1: Status.SUCCEEDED, **returned}

    with_host(story)


def test_an_unknown_agent_is_handed_back() -> None:
    async def story(host: Host) -> None:
        host.grant("nobody")
        assert (await host.heard()).status is Status.RETURNED

    with_host(story)


def test_an_async_agent_has_many_slots_and_a_sync_one_has_one() -> None:
    async def story(host: Host) -> None:
        specs = await host.runner.start(host.report, lambda agent_name, slots: None)
        slots = {spec.agent: spec.slots for spec in specs}
        assert slots["double"] == 1
        assert slots["nap"] == RunnerConfig(targets=()).async_slots
        assert slots["stubborn"] == 3

    with_host(story)
