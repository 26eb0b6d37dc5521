"""The simulated runner keeps the promise of the port: one outcome for each grant, in time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.runner import Conduct, Execution, RunnerOptions, SimulatedRunner
from tests.unit.simulator.passing_time import in_virtual_time, pass_time

NEVER = float("inf")


@dataclass(frozen=True)
class Site:
    name: str
    clock: SimulatedClock
    entropy: SimulatedEntropy


class Bench:
    """A runner with one agent, and what it reported when."""

    def __init__(
        self,
        *,
        slots: int = 8,
        script: Mapping[bytes, Conduct] | None = None,
        options: RunnerOptions | None = None,
    ) -> None:
        self.reported: list[tuple[float, Outcome]] = []
        self.executions: list[Execution] = []
        self.widths: dict[str, int] = {}
        loop = asyncio.get_running_loop()

        def conduct(grant: Grant, _: random.Random) -> Conduct | None:
            return (script or {}).get(grant.payload)

        self.runner = SimulatedRunner(
            Site("host", SimulatedClock(loop), SimulatedEntropy(1, "bench")),
            [AgentSpec("worker", "kind", slots=slots)],
            options=options or RunnerOptions(kill_ms=(0, 0)),
            conduct=conduct,
            executions=self.executions,
        )

    async def start(self) -> Bench:
        def report(outcomes: Sequence[Outcome]) -> None:
            now = asyncio.get_running_loop().time()
            self.reported += [(now, outcome) for outcome in outcomes]

        await self.runner.start(report, self.widths.__setitem__)
        return self

    def statuses(self) -> dict[int, OutcomeStatus]:
        assert len({outcome.lease for _, outcome in self.reported}) == len(self.reported)
        return {outcome.lease: outcome.status for _, outcome in self.reported}


def grant(lease: int, payload: bytes = b"", *, agent: str = "worker", timeout_ms: int = 1000) -> Grant:
    return Grant(lease, f"task-{lease}", agent, payload, 1, timeout_ms)


def test_attempts_end_as_scripted() -> None:
    async def main() -> None:
        script = {
            b"works": Conduct(duration_ms=100),
            b"value": Conduct(value=b"given", echo=False),
            b"fails": Conduct(status=OutcomeStatus.FAILED, retry_after_ms=70),
            b"never": Conduct(status=OutcomeStatus.FAILED_PERMANENTLY),
            b"hangs": Conduct(duration_ms=NEVER),
        }
        bench = await Bench(script=script).start()
        bench.runner.run([grant(number, payload) for number, payload in enumerate(script)])
        await pass_time(5.0)
        outcomes = {outcome.lease: (at, outcome) for at, outcome in bench.reported}
        assert bench.widths == {"worker": 8}
        assert bench.statuses() == {
            0: OutcomeStatus.SUCCEEDED,
            1: OutcomeStatus.SUCCEEDED,
            2: OutcomeStatus.FAILED,
            3: OutcomeStatus.FAILED_PERMANENTLY,
            4: OutcomeStatus.TIMED_OUT,
        }
        assert (outcomes[0][1].value, outcomes[1][1].value) == (b"works", b"given")
        assert (outcomes[0][0], outcomes[4][0]) == (0.1, 1.0)
        assert outcomes[2][1].retry_after_ms == 70
        assert outcomes[4][1].failure is not None
        assert outcomes[0][1].ended_ms - outcomes[0][1].started_ms == 100
        assert [execution.lease for execution in bench.executions] == [0, 1, 2, 3, 4]
        assert {execution.lease: execution.status for execution in bench.executions} == bench.statuses()

    in_virtual_time(main())


def test_no_more_run_at_once_than_an_agent_has_slots() -> None:
    async def main() -> list[float]:
        bench = await Bench(slots=2, script={b"": Conduct(duration_ms=100)}).start()
        bench.runner.run([grant(lease) for lease in range(6)])
        await pass_time(1.0)
        return [round(at, 6) for at, _ in bench.reported]

    assert in_virtual_time(main()) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]


def test_a_crash_hands_back_the_innocent() -> None:
    async def main() -> None:
        script = {
            b"crash": Conduct(duration_ms=50, status=OutcomeStatus.CRASHED),
            b"": Conduct(duration_ms=500),
        }
        bench = await Bench(slots=3, script=script).start()
        bench.runner.run([grant(1, b"crash"), grant(2), grant(3), grant(4)])
        await pass_time(1.0)
        assert bench.statuses() == {
            1: OutcomeStatus.CRASHED,
            2: OutcomeStatus.RETURNED,
            3: OutcomeStatus.RETURNED,
            4: OutcomeStatus.SUCCEEDED,
        }

    in_virtual_time(main())


def test_cancelling_ends_the_waiting_at_once_and_the_running_soon() -> None:
    async def main() -> None:
        script = {b"": Conduct(duration_ms=NEVER), b"soon": Conduct(duration_ms=1)}
        options = RunnerOptions(kill_ms=(200, 200))
        bench = await Bench(slots=2, script=script, options=options).start()
        bench.runner.run([grant(1, timeout_ms=0), grant(2, b"soon"), grant(3), grant(4)])
        bench.runner.cancel([1, 2, 4, 99])
        await pass_time(0.5)
        times = {outcome.lease: at for at, outcome in bench.reported}
        assert bench.statuses() == {
            4: OutcomeStatus.CANCELLED,
            2: OutcomeStatus.SUCCEEDED,
            1: OutcomeStatus.CANCELLED,
        }
        assert (times[4], times[1]) == (0.0, 0.2)
        await pass_time(1.0)
        assert bench.statuses()[3] is OutcomeStatus.TIMED_OUT

    in_virtual_time(main())


def test_an_unknown_agent_and_a_stopping_runner_hand_back() -> None:
    async def main() -> None:
        script = {b"": Conduct(duration_ms=500), b"long": Conduct(duration_ms=NEVER)}
        bench = await Bench(slots=2, script=script).start()
        bench.runner.run([grant(1, agent="nobody"), grant(2), grant(3, b"long", timeout_ms=0), grant(4)])
        stopping = asyncio.create_task(bench.runner.stop(grace_s=2.0))
        await pass_time(0.1)
        bench.runner.run([grant(5)])
        await stopping
        assert asyncio.get_running_loop().time() == 2.0
        assert bench.statuses() == {
            1: OutcomeStatus.RETURNED,
            4: OutcomeStatus.RETURNED,
            5: OutcomeStatus.RETURNED,
            2: OutcomeStatus.SUCCEEDED,
            3: OutcomeStatus.RETURNED,
        }

    in_virtual_time(main())


def test_a_stop_with_nothing_running_takes_no_time() -> None:
    async def main() -> float:
        bench = await Bench().start()
        await bench.runner.stop(grace_s=10.0)
        return asyncio.get_running_loop().time()

    assert in_virtual_time(main()) == 0.0


def test_chance_ends_attempts_in_every_way_and_each_exactly_once() -> None:
    async def main() -> Counter[OutcomeStatus]:
        options = RunnerOptions(failed=0.1, failed_permanently=0.1, crashed=0.01, hung=0.05)
        bench = await Bench(slots=20, options=options).start()
        bench.runner.run([grant(lease, timeout_ms=100) for lease in range(1000)])
        await pass_time(600.0)
        assert len(bench.executions) == 1000
        return Counter(bench.statuses().values())

    ends = in_virtual_time(main())
    assert sum(ends.values()) == 1000
    assert set(ends) == set(OutcomeStatus) - {OutcomeStatus.CANCELLED, OutcomeStatus.OPENED}
