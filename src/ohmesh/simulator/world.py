"""A world: virtual time, one memory engine, and processes that can be started, stopped, killed and cut off.

Everything follows from the seed. Each process draws from streams of its own, so one more does not shift the others.
A process that is killed runs nothing more, not even a `finally`: its gate shuts and its connection ends in one step.
What a killed process had sent may still arrive, as bytes in a socket do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.engines.memory.faults import EngineFaults, EngineLimits, Range
from ohmesh.errors import InvalidArgument, SimulationError
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy, stream
from ohmesh.simulator.loop import CURRENT_GATE, LoopLimits, SimulatedLoop
from ohmesh.simulator.process import Condition, Main, Process
from ohmesh.simulator.run import run_virtual
from ohmesh.simulator.trace import Trace

Result = TypeVar("Result")

_NOTED_LINES = 40


class WorldOptions(Struct, frozen=True, kw_only=True):
    """clock_error_ms, drift_ppm: drawn for each process by its name. tolerated: what a process may die of.

    calm: the faults that remain after `heal`.
    """

    faults: EngineFaults = EngineFaults()
    calm: EngineFaults = EngineFaults()
    engine: EngineLimits = EngineLimits()
    loop: LoopLimits = LoopLimits()
    clock_error_ms: Range = (0.0, 0.0)
    drift_ppm: Range = (0.0, 0.0)
    trace_lines: int = 20_000
    tolerated: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class Report(Generic[Result]):
    """What a run gave. Equal seeds give equal digests."""

    seed: int
    result: Result
    digest: str
    steps: int
    virtual_s: float


def run(
    main: Callable[[World], Coroutine[Any, Any, Result]], *, seed: int, options: WorldOptions | None = None
) -> Report[Result]:
    """Run `main(world)` to its end in virtual time. What it raises carries the seed and the last lines of the trace.

    Judge inside `main`: afterwards the processes are cancelled and may run their `finally` blocks, cut off.
    """
    chosen = options or WorldOptions()
    worlds: list[World] = []

    async def drive() -> Report[Result]:
        world = World(seed, chosen)
        worlds.append(world)
        try:
            result = await main(world)
            world.check_failures()
            return Report(seed, result, world.digest(), world.loop.steps, world.loop.time())
        finally:
            world.end()

    try:
        return run_virtual(drive, limits=chosen.loop)
    except BaseException as error:
        if worlds:
            _explain(error, worlds[0])
            if not isinstance(error, SimulationError):
                worlds[0].check_failures(error)
        raise


class World:
    """See the module; made by `run`."""

    def __init__(self, seed: int, options: WorldOptions) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            raise InvalidArgument("A world needs a simulated loop.", hint="Use ohmesh.simulator.world.run.")
        self.seed = seed
        self.options = options
        self.loop = loop
        self.trace = Trace(loop.time, kept_lines=options.trace_lines)
        self.cluster = MemoryCluster(
            faults=options.faults,
            limits=options.engine,
            seed=seed,
            keeps_history=True,
            observe=self.trace.record,
        )
        self.processes: dict[str, Process] = {}
        self.failures: list[Process] = []
        self._mains: dict[str, Main] = {}
        self._context = copy_context()
        self._driver = asyncio.current_task()
        self._script: list[asyncio.TimerHandle] = []
        self._has_ended = False

    def start(self, name: str, main: Main) -> Process:
        """Start a process that runs `main(process)`; every task it creates belongs to it."""
        before = self.processes.get(name)
        if before is not None and before.is_alive:
            raise InvalidArgument(
                f"A process {name!r} is {before.condition}.", hint="Crash or stop it first."
            )
        incarnation = before.incarnation + 1 if before is not None else 1
        process = Process(
            name,
            incarnation,
            gate=self.loop.create_gate(f"{name}/{incarnation}"),
            clock=self._clock(name, incarnation),
            entropy=SimulatedEntropy(self.seed, f"process/{name}/{incarnation}"),
        )
        process.engine = self.cluster.connect(name)
        self.processes[name] = process
        self._mains[name] = main
        self.trace.record("start", f"{name}/{incarnation}")
        context = self._context.copy()
        context.run(CURRENT_GATE.set, process.gate)
        process.task = self.loop.create_task(main(process), name="main", context=context)
        process.task.add_done_callback(partial(self._process_ended, process), context=self._context)
        return process

    def crash(self, name: str) -> None:
        """kill -9: nothing of it runs any more."""
        process = self.processes[name]
        if process.is_alive:
            self.trace.record("crash", name)
            process.condition = Condition.CRASHED
            process.gate.is_open = False
            self.cluster.crash(name)
            process.ended.set_result(None)

    def restart(self, name: str) -> Process:
        """Start the same main again, in a new incarnation with a new connection; the wall clock keeps its error."""
        return self.start(name, self._mains[name])

    async def stop(self, name: str) -> None:
        """SIGTERM: cancel its main and wait for its end."""
        process = self.processes[name]
        if process.is_alive:
            self.trace.record("stop", name)
            process.task.cancel()
        await asyncio.shield(process.ended)

    def pause(self, name: str) -> None:
        """SIGSTOP: its callbacks are held while time goes on."""
        process = self.processes[name]
        if process.condition is Condition.RUNNING:
            self.trace.record("pause", name)
            process.condition = Condition.PAUSED
            process.gate.is_open = False

    def suspend(self, name: str) -> None:
        """Its machine sleeps or is moved: as a pause, but its monotonic clock does not count it, so a lease that has
        run out looks held afterwards. Only a fence protects from such a process."""
        process = self.processes[name]
        if process.condition is Condition.RUNNING:
            process.suspended_s = self.loop.time()
        self.pause(name)

    def resume(self, name: str) -> None:
        process = self.processes[name]
        if process.condition is Condition.PAUSED:
            self.trace.record("resume", name)
            if process.suspended_s is not None:
                process.clock.lose((self.loop.time() - process.suspended_s) * 1000.0)
                process.suspended_s = None
            process.condition = Condition.RUNNING
            self.loop.open_gate(process.gate)

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        """Do this at an instant of virtual time, unless the world is healed before."""
        self._script = [timer for timer in self._script if timer.when() > self.loop.time()]
        self._script.append(self.loop.call_at(when_s, action, context=self._context))

    def heal(self) -> None:
        """Forget what is scripted, mend the engine and the network, bring every process back: demand liveness now."""
        self.trace.record("heal", "")
        for timer in self._script:
            timer.cancel()
        self._script.clear()
        self.cluster.set_faults(self.options.calm)
        self.cluster.heal_all()
        for name, process in list(self.processes.items()):
            self.resume(name)
            if process.condition is Condition.CRASHED:
                self.restart(name)

    def rng(self, name: str) -> random.Random:
        """A generator of its own for a workload or a script."""
        return stream(self.seed, f"world/{name}")

    def digest(self) -> str:
        """Of everything that happened so far, and how many steps that took."""
        self.trace.record("digest", f"after {self.loop.steps} steps")
        return self.trace.digest()

    def check_failures(self, cause: BaseException | None = None) -> None:
        """Raise when a process died of something that is not tolerated."""
        if self.failures:
            process = self.failures[0]
            failure = process.failure
            raise SimulationError(
                f"Process {process.name}/{process.incarnation} died of {failure!r} (seed {self.seed})."
            ) from (failure or cause)

    def end(self) -> None:
        """Cut every process off; nothing reaches the engine any more."""
        self._has_ended = True
        for timer in self._script:
            timer.cancel()
        for process in self.processes.values():
            self.cluster.crash(process.name)

    def _process_ended(self, process: Process, task: asyncio.Task[None]) -> None:
        if self._has_ended or process.condition is Condition.CRASHED:
            _ = task.cancelled() or task.exception()
            return
        process.condition = Condition.ENDED
        process.failure = None if task.cancelled() else task.exception()
        self.trace.record("end", f"{process.name}/{process.incarnation} {type(process.failure).__name__}")
        process.gate.is_open = False
        self.cluster.crash(process.name)
        process.ended.set_result(None)
        if process.failure is not None and not isinstance(process.failure, self.options.tolerated):
            self.failures.append(process)
            if self._driver is not None:
                self._driver.cancel()

    def _clock(self, name: str, incarnation: int) -> SimulatedClock:
        rng = stream(self.seed, f"clock/{name}")
        offset_ms, drift_ppm = rng.uniform(*self.options.clock_error_ms), rng.uniform(*self.options.drift_ppm)
        zero_ms = stream(self.seed, f"clock/{name}/{incarnation}").uniform(0, 1e9)
        return SimulatedClock(self.loop, offset_ms=offset_ms, drift_ppm=drift_ppm, zero_ms=zero_ms)


def _explain(error: BaseException, world: World) -> None:
    lines = "\n    ".join(world.trace.lines(_NOTED_LINES))
    error.add_note(
        f"seed {world.seed}, after {world.loop.steps} steps; the last lines of the trace:\n    {lines}"
    )
