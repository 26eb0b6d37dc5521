"""The roles that run in this process: one task each, started with a term, cancelled, and rested after a failure.

Invariants: a role never runs twice here, not even while an earlier run is still ending; how a role ended is always
told, unless we asked it to end and it did so quietly.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

from ohmesh.errors import Fenced, OhmeshError
from ohmesh.ports.clock import Clock
from ohmesh.roles.process_config import ProcessConfig

RoleFactory = Callable[[int], Awaitable[None]]
"""Runs the role in the given term until it is cancelled; raises Fenced once it has been replaced."""


@dataclass(slots=True)
class _Run:
    term: int
    task: asyncio.Task[None]
    started_ms: int
    asked_to_end_ms: int = 0
    was_reported: bool = False


@dataclass(slots=True)
class _Rest:
    failures: int
    until_ms: int


class RoleTasks:
    """`changed` is called when a role has ended by itself; `notice` hears why."""

    def __init__(
        self, factories: Mapping[str, RoleFactory], clock: Clock, rng: Random, *, config: ProcessConfig
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.notice: Callable[[str], None] = lambda words: None
        self._factories = factories
        self._clock = clock
        self._rng = rng
        self._config = config
        self._runs: dict[str, _Run] = {}
        self._rests: dict[str, _Rest] = {}

    def running(self) -> dict[str, int]:
        """role -> term of those that are to go on."""
        return {role: run.term for role, run in self._runs.items() if not run.asked_to_end_ms}

    def resting(self) -> frozenset[str]:
        """Roles that must not start now: still ending, or backing off."""
        now_ms = self._clock.monotonic_ms()
        ending = {role for role, run in self._runs.items() if run.asked_to_end_ms}
        return frozenset(ending | {role for role, rest in self._rests.items() if rest.until_ms > now_ms})

    def ending(self) -> frozenset[str]:
        """Roles that were asked to end and may still do so in order."""
        oldest_ms = self._clock.monotonic_ms() - self._config.role_stop_ms
        return frozenset(role for role, run in self._runs.items() if run.asked_to_end_ms > max(0, oldest_ms))

    def start(self, role: str, term: int) -> None:
        task = asyncio.create_task(self._run(role, term), name=f"{role} term {term}")
        self._runs[role] = _Run(term, task, self._clock.monotonic_ms())
        task.add_done_callback(partial(self._ended, role))

    def stop(self, role: str) -> None:
        run = self._runs.get(role)
        if run is not None and not run.asked_to_end_ms:
            run.asked_to_end_ms = max(1, self._clock.monotonic_ms())
            run.task.cancel()

    def stop_all(self) -> None:
        for role in self._runs:
            self.stop(role)

    async def all_ended(self) -> None:
        """Wait for the roles that were stopped, at most twice the time that a role has for it."""
        for _ in range(2):
            tasks = [run.task for run in self._runs.values()]
            if tasks:
                await asyncio.wait(tasks, timeout=self._config.role_stop_ms / 1000)
            self.press_overdue()

    def press_overdue(self) -> None:
        """Tell of the roles that should have ended, and cancel them again: a library may have lost the first time
        (asyncio.wait_for does, before Python 3.12, when its result comes in the same moment)."""
        now_ms = self._clock.monotonic_ms()
        for role, run in self._runs.items():
            if not run.asked_to_end_ms or now_ms - run.asked_to_end_ms < self._config.role_stop_ms:
                continue
            run.task.cancel()
            if not run.was_reported:
                run.was_reported = True
                self.notice(
                    f"{role} (term {run.term}) was cancelled {now_ms - run.asked_to_end_ms} ms ago and has not ended; "
                    "it does not start here again before it has."
                )

    async def _run(self, role: str, term: int) -> None:
        await self._factories[role](term)

    def _ended(self, role: str, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(role)
        error = None if task.cancelled() else task.exception()
        if run.asked_to_end_ms:
            if error is not None:
                self.notice(f"{role} (term {run.term}) failed while it was ending: {_story(error)}")
        else:
            rest = self._rest(role, run)
            why = "was cancelled by itself" if task.cancelled() else _story(error)
            self.notice(f"{role} (term {run.term}) ended: {why}; it rests here for {rest} ms.")
        self.changed()

    def _rest(self, role: str, run: _Run) -> int:
        """Back off, doubling; a little at random, so that processes do not fail in step. Returns milliseconds."""
        config, now_ms = self._config, self._clock.monotonic_ms()
        before = self._rests.get(role)
        was_steady = now_ms - run.started_ms >= config.steady_ms
        failures = 1 if before is None or was_steady else before.failures + 1
        # The exponent is bounded too: 2 ** 10_000 is a number of three thousand digits.
        longest_ms = min(config.backoff_max_ms, config.backoff_ms * 2 ** min(failures - 1, 30))
        rest_ms = max(1, int(longest_ms * self._rng.uniform(0.5, 1.0)))
        self._rests[role] = _Rest(failures, now_ms + rest_ms)
        return rest_ms


def _story(error: BaseException | None) -> str:
    if error is None:
        return "it returned, which a role never does by itself"
    if isinstance(error, Fenced):
        return f"it has been replaced: {error}"
    if isinstance(
        error, OhmeshError
    ):  # it says itself what is wrong, and is no defect: the engine went away, say
        return str(error)
    return "".join(traceback.format_exception(error)).rstrip()
