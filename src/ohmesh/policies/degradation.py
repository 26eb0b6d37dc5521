"""What a mesh still does when part of its agents is away: five modes, and what each forbids or delays.

    active rate    >= 0.95   FULL
                   >= 0.80   DEGRADED_LIGHT      no background work; retries wait longer
                   >= 0.60   DEGRADED_MODERATE   healthy sectors only; no operation on more than 1000; the rest waits
                   >= 0.30   DEGRADED_SEVERE     CRITICAL only; mesh-wide operations need an approval; prepare to stop
                   below     EMERGENCY           nothing automatic; state is preserved; operators are alerted

Each mode keeps the rules of those above it. The active rate counts agents that are alive (`active`) and on duty
(`ready`). Whoever starts work asks `rule_on` first and keeps to what it says.

A fleet that hovers around a boundary would otherwise switch with every heartbeat, and with it background work and the
limits of everybody. So a worse mode holds at once, and a better one once the rate has been good enough for it for
`settle_ms` without a break.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.priority import Priority


class Mode(IntEnum):
    """From good to bad."""

    FULL = 0
    DEGRADED_LIGHT = 1
    DEGRADED_MODERATE = 2
    DEGRADED_SEVERE = 3
    EMERGENCY = 4


LEAST_RATES = (0.95, 0.80, 0.60, 0.30)  # of every mode but the last


class Measure(StrEnum):
    """What is to be done on entering a mode, beside the rules."""

    PREPARE_TO_STOP = "prepare_to_stop"
    PRESERVE_STATE = "preserve_state"
    ALERT_OPERATORS = "alert_operators"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRules:
    """retry_factor: delays of retries are so many times as long. target_limit: of one operation; 0 is no limit.
    least_priority: what is below waits, and is refused where it cannot. approval: mesh-wide operations need one."""

    background: bool = True
    retry_factor: int = 1
    healthy_sectors_only: bool = False
    target_limit: int = 0
    least_priority: Priority = Priority.LOW
    approval: bool = False
    automatic: bool = True
    measures: tuple[Measure, ...] = ()


RULES: dict[Mode, ModeRules] = {
    Mode.FULL: ModeRules(),
    Mode.DEGRADED_LIGHT: ModeRules(background=False, retry_factor=2),
    Mode.DEGRADED_MODERATE: ModeRules(
        background=False,
        retry_factor=4,
        healthy_sectors_only=True,
        target_limit=1_000,
        least_priority=Priority.HIGH,
    ),
    Mode.DEGRADED_SEVERE: ModeRules(
        background=False,
        retry_factor=8,
        healthy_sectors_only=True,
        target_limit=1_000,
        least_priority=Priority.CRITICAL,
        approval=True,
        measures=(Measure.PREPARE_TO_STOP,),
    ),
    Mode.EMERGENCY: ModeRules(
        background=False,
        retry_factor=8,
        healthy_sectors_only=True,
        target_limit=1_000,
        least_priority=Priority.CRITICAL,
        approval=True,
        automatic=False,
        measures=(Measure.PRESERVE_STATE, Measure.ALERT_OPERATORS),
    ),
}


class Work(StrEnum):
    """READ changes nothing. REPAIR brings agents back or keeps state: heal, thaw, freeze, reset of a breaker.
    BACKGROUND is what nobody waits for."""

    READ = "read"
    REPAIR = "repair"
    NORMAL = "normal"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequest:
    """targets: how many agents at once; 1 for a task. can_wait: it may be queued; false where an instant was asked for.
    is_automatic: no person asked for it. is_approved: a person saw in which mode the mesh is, and wants it all the
    same; that lifts the limit of targets and stands for the approval, and nothing else."""

    work: Work = Work.NORMAL
    priority: Priority = Priority.NORMAL
    targets: int = 1
    is_mesh_wide: bool = False
    can_wait: bool = True
    is_automatic: bool = False
    is_approved: bool = False


class Permission(StrEnum):
    ALLOW = "allow"
    QUEUE = "queue"
    ASK = "ask"
    REFUSE = "refuse"


class Ruling(Struct, frozen=True):
    """QUEUE: keep it until the mode is better. ASK: a person has to approve it first. `why` names mode and rule."""

    permission: Permission
    why: str = ""
    healthy_sectors_only: bool = False


def mode_of(active: int, total: int) -> Mode:
    """By the active rate alone. A mesh without agents has lost none: FULL.

    Raises InvalidArgument: more active than there are, or a number below zero."""
    if not 0 <= active <= total:
        raise InvalidArgument(f"{active} of {total} agents cannot be active.")
    if not total:
        return Mode.FULL
    rate = active / total
    return next(
        (mode for mode, least in zip(Mode, LEAST_RATES, strict=False) if rate >= least), Mode.EMERGENCY
    )


def healthy_sectors(active: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which sectors count as healthy: those in which the active rate would make a mesh FULL. Shape (sectors,) each; one
    without agents is none that could be used."""
    healthy: NDArray[np.bool_] = (total > 0) & (active / np.maximum(total, 1) >= LEAST_RATES[Mode.FULL])
    return healthy


def rule_on(mode: Mode, request: WorkRequest) -> Ruling:
    """Whether this may be done now. Reading always may; so may repairs that a person asked for, in every mode."""
    rules = RULES[mode]
    if request.work is Work.READ or (request.work is Work.REPAIR and not request.is_automatic):
        return Ruling(Permission.ALLOW)
    if request.is_automatic and not rules.automatic:
        return _not_now(mode, request, "does nothing by itself")
    if request.work is Work.REPAIR:
        return Ruling(Permission.ALLOW)
    if request.work is Work.BACKGROUND and not rules.background:
        return _not_now(mode, request, "does no background work")
    if request.priority < rules.least_priority:
        return _not_now(mode, request, f"does work from {rules.least_priority.name} up")
    if request.is_approved:  # and so are its size and its reach
        return Ruling(Permission.ALLOW, healthy_sectors_only=rules.healthy_sectors_only)
    if request.is_mesh_wide and rules.approval:
        return Ruling(Permission.ASK, f"{mode.name} wants an approval for an operation on the whole mesh.")
    if rules.target_limit and request.targets > rules.target_limit:
        return Ruling(
            Permission.REFUSE,
            f"{mode.name} allows operations on up to {rules.target_limit} agents; this one is on {request.targets}.",
        )
    return Ruling(Permission.ALLOW, healthy_sectors_only=rules.healthy_sectors_only)


def _not_now(mode: Mode, request: WorkRequest, rule: str) -> Ruling:
    if request.can_wait:
        return Ruling(Permission.QUEUE, f"{mode.name} {rule}; this waits until it is over.")
    return Ruling(Permission.REFUSE, f"{mode.name} {rule}, and this cannot wait.")


class ModeChange(Struct, frozen=True):
    """`measures`: what is to be done now, of all modes that were entered on the way."""

    before: Mode
    after: Mode
    active: int
    total: int
    at_ms: int
    measures: tuple[Measure, ...] = ()


class ModeKeeper:
    """The mode of one mesh over time. `now_ms` never falls from call to call."""

    def __init__(self, *, settle_ms: int = 10_000) -> None:
        """Raises InvalidArgument: settle_ms is below zero."""
        if settle_ms < 0:
            raise InvalidArgument(f"settle_ms is {settle_ms}.", hint="Give 0 for no delay, or more.")
        self.mode = Mode.FULL
        self._settle_ms = settle_ms
        self._good_since_ms: dict[
            Mode, int
        ] = {}  # better mode -> since when the rate allows it without a break

    def observe(self, active: int, total: int, now_ms: int) -> ModeChange | None:
        """Call it with each count of the fleet. Returns the change that it makes, if any."""
        found = mode_of(active, total)
        if found >= self.mode:
            self._good_since_ms.clear()
            return self._change(found, (active, total), now_ms) if found > self.mode else None
        better = [mode for mode in Mode if found <= mode < self.mode]
        self._good_since_ms = {mode: self._good_since_ms.get(mode, now_ms) for mode in better}
        settled = [mode for mode in better if now_ms - self._good_since_ms[mode] >= self._settle_ms]
        return self._change(settled[0], (active, total), now_ms) if settled else None

    def _change(self, after: Mode, counted: tuple[int, int], now_ms: int) -> ModeChange:
        before, self.mode = self.mode, after
        self._good_since_ms = {mode: since for mode, since in self._good_since_ms.items() if mode < after}
        entered = [mode for mode in Mode if before < mode <= after]
        measures = tuple(measure for mode in entered for measure in RULES[mode].measures)
        return ModeChange(before, after, *counted, now_ms, measures)
