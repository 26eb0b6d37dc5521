"""The side of agents that wait for T: those of one host in one operation, as columns.

    WORKING --done--> PREPARED --T, and COMMIT if it is conditional--> ACTED
       |  `--it contradicts--> REFUSED     |
       `-----ABORT, or T plus the window---+--> DROPPED

Plain hold acts at T; who is done later acts at once, until T plus the window. With prepare and commit nobody acts
without having heard COMMIT: who has heard nothing shortly before T asks for the verdict, again and again, and at T plus
the window drops the work. A COMMIT that arrives after that is answered as too late, so that the mesh knows who did not
act.

Invariants: nobody acts before T, twice, or unprepared; of a conditional operation nobody acts without COMMIT, or after
ABORT; after T plus the window nobody waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.verdict_order import Verdict
from ohmesh.protocols.arrival.operation import Rows

WORKING, PREPARED, REFUSED, ACTED, DROPPED = range(5)


def _nobody() -> Rows:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingConfig:
    """is_conditional: acts on COMMIT only. ask_before_ms: so long before T the verdict is asked for, and then every
    ask_every_ms. window_ms: after T; who is done or hears by then acts late."""

    is_conditional: bool = False
    window_ms: float = 500.0
    ask_before_ms: float = 50.0
    ask_every_ms: float = 100.0

    def __post_init__(self) -> None:
        if not (self.window_ms > 0 and self.ask_before_ms >= 0 and self.ask_every_ms > 0):
            raise InvalidArgument(
                f"HoldingConfig has window_ms {self.window_ms}, ask_before_ms {self.ask_before_ms} and ask_every_ms "
                f"{self.ask_every_ms}.",
                hint="Window and ask_every_ms are above 0, ask_before_ms is not below.",
            )


@dataclass(frozen=True, slots=True, eq=False)
class HoldingStep:
    """What to do now. act: these act. drop: these undo what they prepared. asks: the verdict is to be asked for.
    too_late: these dropped what was committed, and answer so (CONFLICT)."""

    act: Rows = field(default_factory=_nobody)
    drop: Rows = field(default_factory=_nobody)
    asks: bool = False
    too_late: Rows = field(default_factory=_nobody)


NOTHING = HoldingStep()


class Holding:
    """`rows` ascend: the agents. `now_ms` of every call is mesh time as this host knows it."""

    def __init__(self, rows: Rows, target_ms: float, config: HoldingConfig | None = None) -> None:
        self.rows = np.asarray(rows, np.int64)
        self.target_ms = target_ms
        self.config = config or HoldingConfig()
        self.state = np.full(len(self.rows), WORKING, np.uint8)
        self.verdict = None if self.config.is_conditional else Verdict.COMMIT
        self.is_contradicted = False  # it was told both
        self._ends_ms = target_ms + self.config.window_ms
        self._asks_ms = target_ms - self.config.ask_before_ms

    @property
    def is_over(self) -> bool:
        return not ((self.state == WORKING) | (self.state == PREPARED)).any()

    @property
    def wake_ms(self) -> float | None:
        """When to call `tick`; None when nobody waits."""
        if self.is_over:
            return None
        if self.verdict is None:
            return min(self._asks_ms, self._ends_ms)
        is_to_act = self.verdict is Verdict.COMMIT and (self.state == PREPARED).any()
        return self.target_ms if is_to_act else self._ends_ms

    def prepared(self, rows: Rows, now_ms: float) -> HoldingStep:
        """These are done with their work; of plain hold and after COMMIT they act at T, or at once where T is past."""
        self._move(rows, WORKING, PREPARED)
        return self.tick(now_ms)

    def refused(self, rows: Rows) -> None:
        """These contradict: they answer CONFLICT and do not act."""
        self._move(rows, WORKING, REFUSED)

    def hear(self, verdict: Verdict, now_ms: float) -> HoldingStep:
        """The first verdict stands. One that contradicts it is noted and changes nothing."""
        step = self.tick(now_ms)
        if self.verdict is not None:
            self.is_contradicted = self.is_contradicted or self.verdict is not verdict
            return step
        self.verdict = verdict
        if verdict is Verdict.COMMIT and now_ms >= self._ends_ms:
            return HoldingStep(step.act, step.drop, too_late=self.rows[self.state == DROPPED])
        return self.tick(now_ms)

    def tick(self, now_ms: float) -> HoldingStep:
        act = drop = _nobody()
        if self.verdict is Verdict.ABORT or now_ms >= self._ends_ms:
            drop = self._move_all((WORKING, PREPARED), DROPPED)
        elif self.verdict is Verdict.COMMIT and now_ms >= self.target_ms:
            act = self._move_all((PREPARED,), ACTED)
        asks = self.verdict is None and now_ms >= self._asks_ms and not self.is_over
        if asks:
            self._asks_ms = now_ms + self.config.ask_every_ms
        return HoldingStep(act, drop, asks) if asks or len(act) or len(drop) else NOTHING

    def _move(self, rows: Rows, before: int, after: int) -> None:
        at = np.flatnonzero(np.isin(self.rows, rows) & (self.state == before))
        self.state[at] = after

    def _move_all(self, before: tuple[int, ...], after: int) -> Rows:
        moved: NDArray[np.bool_] = np.isin(self.state, before)
        self.state[moved] = after
        return self.rows[moved]
