"""One run in virtual time, from an empty loop to a clean end.

When `main` has ended, or the run has failed, every task left is cancelled and let end in virtual time: the processes
that crashed too, whose engines have long been cut, so what their `finally` blocks attempt reaches nothing. Judge in
`main`, before that. Garbage is collected by the loop at fixed steps only: a finaliser at a random moment would make two
runs differ.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ohmesh.errors import SimulationError
from ohmesh.simulator.loop import LoopLimits, SimulatedLoop, describe_task

Result = TypeVar("Result")

_CANCEL_ROUNDS = 3
_ROUND_S = 60.0


def run_virtual(
    main: Callable[[], Coroutine[Any, Any, Result]], *, limits: LoopLimits | None = None
) -> Result:
    """Run `main()` to its end in virtual time and return its result.

    Raises what `main` raises; SimulationStuck or SimulationTooLong when it cannot go on; SimulationError when an
    exception escaped from a callback, or a task ignores being cancelled.
    """
    collecting = gc.isenabled()
    gc.disable()
    loop = SimulatedLoop(limits)
    try:
        try:
            result = loop.run_until_complete(main())
            _raise_escaped(loop)
        finally:
            leftover = _unwind(loop)
    finally:
        loop.close()
        if collecting:
            gc.enable()
    if leftover:
        raise SimulationError(f"Cancelled {_CANCEL_ROUNDS} times, these tasks go on: {', '.join(leftover)}.")
    return result


def _raise_escaped(loop: SimulatedLoop) -> None:
    if loop.escaped:
        first = loop.escaped[0]
        raise SimulationError(
            f"{len(loop.escaped)} exceptions escaped from callbacks or tasks; the first: {first!r}."
        ) from first


def _unwind(loop: SimulatedLoop) -> list[str]:
    """Cancel what is left; return the tasks that would not end."""
    loop.grant_extension(_CANCEL_ROUNDS * _ROUND_S)
    loop.set_exception_handler(lambda _loop, _context: None)
    for gate in loop.gates:
        loop.open_gate(gate)
    for _ in range(_CANCEL_ROUNDS):
        tasks = loop.unfinished_tasks()
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=_ROUND_S))
    leftover = [describe_task(task) for task in loop.unfinished_tasks()]
    loop.run_until_complete(loop.shutdown_asyncgens())
    return leftover
