"""What an operation would do if it were begun now: nothing is sent, stored or held."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import TargetState, Timing
from ohmesh.model.fleet_request import MAX_LISTED, LeftOut, OperationView, Plan
from ohmesh.protocols.arrival.report import columns_of
from ohmesh.protocols.arrival.target_state import PENDING, SkipReason
from ohmesh.roles.fleet.arrivals import Arrivals
from ohmesh.roles.fleet.operation import Operation

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "last": 1.0}


def planned(
    operation: Operation, view: OperationView, lead_ms: NDArray[np.floating] | None, arrivals: Arrivals
) -> OperationView:
    """`view` with the plan; lead_ms: of each target, None for a message for now."""
    columns = columns_of(list(operation.records))
    is_asked = columns.states == PENDING
    leads = np.zeros(0) if lead_ms is None else lead_ms[is_asked].astype(np.float64)
    asked = int(np.count_nonzero(is_asked))
    available_ms = operation.due_by_ms - operation.started_ms
    sent_ms = np.zeros(asked)
    if operation.request.timing is Timing.LEAD:
        sent_ms = available_ms - leads
    topology = arrivals.topology
    skipped = np.flatnonzero(columns.states == TargetState.SKIPPED)[:MAX_LISTED]
    left_out = tuple(
        LeftOut(
            str(topology.place(int(columns.rows[at]))),
            SkipReason(int(columns.reasons[at])).word,
            _known(columns.needed_ms[at], columns.available_ms[at]),
            _known(columns.available_ms[at], columns.available_ms[at]),
        )
        for at in skipped.tolist()
    )
    plan = Plan(
        asked=asked,
        first_ms=round(float(sent_ms.min()), 3) if asked else 0.0,
        last_ms=round(float(sent_ms.max()), 3) if asked else 0.0,
        lead_ms={name: round(float(np.quantile(leads, at)), 3) for name, at in QUANTILES.items()}
        if len(leads)
        else {},
        hit_rate=_expected(operation, columns.rows[is_asked], available_ms - sent_ms, arrivals),
        left_out=left_out,
    )
    return msgspec.structs.replace(view, outcome="PLANNED", plan=plan, hit_rate=0.0)


def _expected(
    operation: Operation, rows: NDArray[np.int64], budget_ms: NDArray[np.float64], arrivals: Arrivals
) -> float:
    """The mean over those that are asked of being ready in time."""
    if not len(rows):
        return 0.0
    request = operation.request
    after_ms = {Timing.NOW: request.timeout_ms, Timing.PREPARE: 0.0}.get(request.timing, request.window_ms)
    budget_ms = np.full(len(rows), after_ms) if request.timing is Timing.NOW else budget_ms + after_ms
    return round(float(arrivals.within(request, rows, budget_ms).mean()), 6)


def _known(value: float, available_ms: float) -> float | None:
    return round(float(value), 3) if math.isfinite(available_ms) else None
