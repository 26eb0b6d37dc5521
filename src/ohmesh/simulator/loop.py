"""An asyncio event loop whose time is a number: when nothing is ready it jumps to the next timer.

Two runs of the same program are the same run:

* ready callbacks run in the order in which they became ready, timers by (instant, order of setting);
* tasks and futures hash by a counter, so a set of them iterates alike whatever addresses they have;
* unfinished tasks and generators are held, and cycles are collected at fixed steps, so nothing ends by chance;
* sockets, threads, subprocesses and signals are refused (SimulationEscape): their timing is not ours.

A callback belongs to the gate of the context it runs in. A closed gate holds what is due behind it while time goes on:
that is SIGSTOP, and kill -9 when it never opens again. A run that can never go on names its waiting tasks
(SimulationStuck); one that goes on for too long ends by its limits (SimulationTooLong).
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from ohmesh.errors import SimulationEscape, SimulationStuck, SimulationTooLong

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
Work = Coroutine[Any, Any, Result] | Generator[Any, None, Result]


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """max_steps_per_instant catches code that spins without letting time pass."""

    max_virtual_s: float = 3600.0
    max_steps: int = 50_000_000
    max_steps_per_instant: int = 2_000_000
    collect_every_steps: int = 250_000
    compact_above_timers: int = 4096
    named_tasks: int = 12


@dataclass(slots=True, eq=False)
class Gate:
    """What belongs to one simulated process runs only while its gate is open; else it is held, in order."""

    name: str
    is_open: bool = True
    held: deque[SimulatedHandle | SimulatedTimer] = field(default_factory=deque)


CURRENT_GATE: ContextVar[Gate | None] = ContextVar("current_gate", default=None)


class SimulatedHandle(asyncio.Handle):
    """A callback and the gate it belongs to."""

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: SimulatedLoop, context: Context
    ):
        super().__init__(callback, args, loop, context)
        self.gate: Gate | None = context.get(CURRENT_GATE)

    def run(self) -> None:
        self._run()


class SimulatedTimer(asyncio.TimerHandle):
    """A callback at an instant and the gate it belongs to."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimulatedLoop,
        context: Context,
    ):
        super().__init__(when, callback, args, loop, context)
        self.gate: Gate | None = context.get(CURRENT_GATE)

    def run(self) -> None:
        self._run()


class SimulatedFuture(asyncio.Future[Any]):
    def __init__(self, number: int, loop: SimulatedLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimulatedTask(asyncio.Task[Result]):
    def __init__(self, number: int, work: Any, *, loop: SimulatedLoop, name: str, context: Context) -> None:
        self.number = number  # first: the base class hashes us
        self.gate = context.get(CURRENT_GATE)
        super().__init__(work, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module. `steps` counts callbacks: equal runs have equal counts."""

    def __init__(self, limits: LoopLimits | None = None) -> None:
        super().__init__()
        self.limits = limits or LoopLimits()
        self.steps = 0
        self.escaped: list[BaseException] = []
        self.gates: list[Gate] = []
        self._now = 0.0
        self._end_s = self.limits.max_virtual_s
        self._last_step = self.limits.max_steps
        self._stop_requested = False
        self._instant_steps = 0
        self._counter = 0
        self._queue: deque[SimulatedHandle | SimulatedTimer] = deque()
        self._timers: list[tuple[float, int, SimulatedTimer]] = []
        self._cancelled_timers = 0
        self._unfinished: dict[SimulatedTask[Any], None] = {}
        self._unfinished_bound = 1024
        self._thread = threading.get_ident()
        self.set_exception_handler(_note_escaped)

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        handle = SimulatedHandle(callback, args, self, copy_context() if context is None else context)
        self._queue.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            raise SimulationEscape(
                "A thread called into a simulated loop.", hint="Roles must not use threads."
            )
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = SimulatedTimer(when, callback, args, self, copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, self._next_number(), timer))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return SimulatedFuture(self._next_number(), self)

    def create_task(
        self, coro: Work[Result], *, name: object = None, context: Context | None = None, **_: object
    ) -> asyncio.Task[Result]:
        number = self._next_number()
        label = f"task-{number}" if name is None else str(name)
        context = copy_context() if context is None else context
        task: SimulatedTask[Result] = SimulatedTask(number, coro, loop=self, name=label, context=context)
        self._unfinished[task] = None
        if len(self._unfinished) > self._unfinished_bound:
            self._unfinished = dict.fromkeys(self.unfinished_tasks())
            self._unfinished_bound = 1024 + 2 * len(self._unfinished)
        return task

    def unfinished_tasks(self) -> list[SimulatedTask[Any]]:
        """In the order of their creation."""
        return [task for task in self._unfinished if not task.done()]

    def grant_extension(self, seconds: float) -> None:
        """Move both limits on, for the tasks that have to be ended after a run that reached them."""
        self._end_s = max(self._end_s, self._now + seconds)
        self._last_step = self.steps + self.limits.max_steps
        self._instant_steps = 0

    def create_gate(self, name: str) -> Gate:
        gate = Gate(name)
        self.gates.append(gate)
        return gate

    def open_gate(self, gate: Gate) -> None:
        """Let run what was held, in the order in which it became due."""
        gate.is_open = True
        self._queue.extend(gate.held)
        gate.held.clear()

    def stop(self) -> None:
        self._stop_requested = True
        super().stop()

    def run_forever(self) -> None:
        try:
            super().run_forever()
        finally:
            self._stop_requested = False

    def close(self) -> None:
        super().close()
        self._queue.clear()
        self._timers.clear()

    def _run_once(self) -> None:
        """One round, called by run_forever: what is due now, or the jump to what is due next."""
        self._take_due_timers()
        if not self._queue and not self._stop_requested:
            self._jump()
        for _ in range(len(self._queue)):
            handle = self._queue.popleft()
            if handle.cancelled():
                continue
            gate = handle.gate
            if gate is not None and not gate.is_open:
                gate.held.append(handle)
                continue
            self._count_step()
            handle.run()

    def _take_due_timers(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            self._queue.append(heapq.heappop(timers)[2])

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._cancelled_timers = max(0, self._cancelled_timers - 1)
        if not timers:
            raise SimulationStuck(
                f"Nothing is ready and no timer is set at {self._now:.3f} s; waiting: {self._describe_waiting()}.",
                hint="Somebody waits for an event that nobody will cause.",
            )
        if timers[0][0] > self._end_s:
            raise SimulationTooLong(
                f"The run reached {self._end_s:.0f} s of virtual time; waiting: {self._describe_waiting()}."
            )
        self._now = timers[0][0]
        self._instant_steps = 0
        self._take_due_timers()

    def _count_step(self) -> None:
        self.steps += 1
        self._instant_steps += 1
        if self.steps % self.limits.collect_every_steps == 0:
            gc.collect()
        if self.steps > self._last_step or self._instant_steps > self.limits.max_steps_per_instant:
            raise SimulationTooLong(
                f"{self.steps} steps were run, {self._instant_steps} of them at {self._now:.6f} s;"
                f" waiting: {self._describe_waiting()}.",
                hint="Code that spins without waiting for time never lets it pass here.",
            )

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by TimerHandle.cancel; drops the cancelled when they are the most of many."""
        self._cancelled_timers += 1
        count = len(self._timers)
        if count > self.limits.compact_above_timers and self._cancelled_timers * 2 > count:
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def _next_number(self) -> int:
        self._counter += 1
        return self._counter

    def _describe_waiting(self) -> str:
        tasks = self.unfinished_tasks()
        named = [describe_task(task) for task in tasks[: self.limits.named_tasks]]
        if len(tasks) > len(named):
            named.append(f"and {len(tasks) - len(named)} more")
        return ", ".join(named) or "no task"


def describe_task(task: SimulatedTask[Any]) -> str:
    """`process/name at file:line`, and whether its process is stopped."""
    gate = task.gate
    name = task.get_name() if gate is None else f"{gate.name}/{task.get_name()}"
    stack = task.get_stack(limit=1)
    where = f" at {Path(stack[0].f_code.co_filename).name}:{stack[0].f_lineno}" if stack else ""
    return name + where + ("" if gate is None or gate.is_open else " (its process is stopped)")


def _note_escaped(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception that nobody awaits is a defect of the run; the first ones are kept for the verdict."""
    error = context.get("exception")
    if isinstance(loop, SimulatedLoop) and len(loop.escaped) < 100:
        loop.escaped.append(error if isinstance(error, BaseException) else RuntimeError(context["message"]))


_REFUSED = (
    "run_in_executor set_default_executor add_reader remove_reader add_writer remove_writer add_signal_handler"
    " remove_signal_handler getaddrinfo getnameinfo create_connection create_server create_unix_connection"
    " create_unix_server create_datagram_endpoint connect_accepted_socket sendfile start_tls connect_read_pipe"
    " connect_write_pipe subprocess_shell subprocess_exec sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into"
    " sock_sendall sock_sendto sock_connect sock_accept sock_sendfile"
)


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: SimulatedLoop, *_args: object, **_options: object) -> NoReturn:
        raise SimulationEscape(
            f"A simulated process asked its loop for {name}.", hint="Reach the world through a port only."
        )

    return refuse


for _name in _REFUSED.split():
    setattr(SimulatedLoop, _name, _refusal(_name))
