"""How a part of the fleet has been: what is asked, and the answer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Moment = Annotated[int, Meta(ge=0)]
Figures = tuple[float | None, ...]


class AskTrend(Struct, frozen=True, tag="trend", kw_only=True):
    """part: mesh, s007 or s007.c04. start_ms, end_ms: mesh time; end_ms 0 is now, ago_ms: instead of a start, so long
    before now. step_ms: of a ring; 0 is the finest that reaches back so far."""

    part: str = "mesh"
    start_ms: Moment = 0
    ago_ms: Moment = 0
    end_ms: Moment = 0
    end_ago_ms: Moment = 0
    step_ms: Moment = 0


class TrendPage(Struct, frozen=True, kw_only=True):
    """Columns of one length: when each slot begins (mesh time), and its figures; None where the part had nobody.

    A slot holds means of its time, of p95_ms the worst. People are left out of impedance, queue and drift."""

    part: str
    step_ms: int
    times_ms: tuple[int, ...] = ()
    agents: Figures = ()
    active_rate: Figures = ()
    impedance_ms: Figures = ()
    p95_ms: Figures = ()
    queue: Figures = ()
    drift: Figures = ()

    def __len__(self) -> int:
        return len(self.times_ms)
