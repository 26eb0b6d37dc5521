"""What a procedure does, step by step: each with its outcome, what was seen, and when.

A step that fails is reported with the reason, and the next ones are done all the same unless they need it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from ohmesh.errors import OhmeshError
from ohmesh.operations.moments import written

DETAILS = 20


class StepOutcome(StrEnum):
    """NOT_SET_UP: there is nothing that could be looked at, which is never the same as ok."""

    OK = "ok"
    SKIPPED = "skipped"
    PLANNED = "planned"
    NOT_SET_UP = "not set up"
    ATTENTION = "attention"
    FAILED = "failed"


_WORST_FIRST = (StepOutcome.FAILED, StepOutcome.ATTENTION, StepOutcome.NOT_SET_UP)


class Seen(NamedTuple):
    """What a step found. details: names, the first of them."""

    outcome: StepOutcome
    evidence: str
    details: tuple[str, ...] = ()


class RunbookStep(Struct, frozen=True, kw_only=True):
    step: str
    outcome: StepOutcome
    evidence: str
    at_ms: int
    took_ms: float
    details: tuple[str, ...] = ()


class RunbookReport(Struct, frozen=True, kw_only=True):
    """outcome: that of the worst step. key: with it the same procedure goes on where it was."""

    runbook: str
    target: str
    outcome: StepOutcome
    steps: list[RunbookStep]
    started_ms: int
    took_ms: float
    key: str = ""

    def __str__(self) -> str:
        lines = [f"{self.runbook} {self.target}".rstrip() + f": {self.outcome}, {written(self.started_ms)}"]
        lines += [f"  {one.outcome:<10} {one.step}: {one.evidence}" for one in self.steps]
        return "\n".join(lines)


class Procedure:
    """Notes what is done. is_dry_run: nothing is, and each step says what it would do."""

    def __init__(self, runbook: str, target: str = "", *, is_dry_run: bool = False, key: str = "") -> None:
        self.steps: list[RunbookStep] = []
        self._name = runbook
        self._target = target
        self._is_dry_run = is_dry_run
        self._key = key
        self._started_ms = time.time_ns() // 1_000_000
        self._began_s = time.monotonic()

    async def do(self, step: str, purpose: str, work: Callable[[], Awaitable[Seen]]) -> Seen:
        """One step. purpose: what it is going to do, as a dry run says it."""
        at_ms, began_s = time.time_ns() // 1_000_000, time.monotonic()
        if self._is_dry_run:
            seen = Seen(StepOutcome.PLANNED, purpose)
        else:
            try:
                seen = await work()
            except OhmeshError as error:
                seen = Seen(StepOutcome.FAILED, f"{error.message} {error.hint}".strip())
        took_ms = round((time.monotonic() - began_s) * 1000, 1)
        self.steps.append(
            RunbookStep(
                step=step,
                outcome=seen.outcome,
                evidence=seen.evidence,
                at_ms=at_ms,
                took_ms=took_ms,
                details=seen.details[:DETAILS],
            )
        )
        return seen

    def report(self) -> RunbookReport:
        outcomes = {one.outcome for one in self.steps}
        usual = StepOutcome.PLANNED if self._is_dry_run else StepOutcome.OK
        return RunbookReport(
            runbook=self._name,
            target=self._target,
            outcome=next((one for one in _WORST_FIRST if one in outcomes), usual),
            steps=self.steps,
            started_ms=self._started_ms,
            took_ms=round((time.monotonic() - self._began_s) * 1000, 1),
            key=self._key,
        )


def ok(evidence: str, *details: str) -> Seen:
    return Seen(StepOutcome.OK, evidence, details)


def attention(evidence: str, *details: str) -> Seen:
    return Seen(StepOutcome.ATTENTION, evidence, details)


def skipped(evidence: str) -> Seen:
    return Seen(StepOutcome.SKIPPED, evidence)


def not_set_up(evidence: str) -> Seen:
    return Seen(StepOutcome.NOT_SET_UP, evidence)
