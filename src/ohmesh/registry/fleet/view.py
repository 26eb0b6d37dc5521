"""One agent of the registry in words, with its figures as they are shown: rounded to what a column holds exactly."""

from __future__ import annotations

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_agent import FLAGS, FleetAgent
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.protocols.arrival import prior
from ohmesh.registry.fleet.columns import Doubles, Index, Singles
from ohmesh.registry.fleet.impedance import flags
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.table import FleetTable

DECIMALS_OF_MS = 3
DECIMALS_OF_RATIO = 6
_ALL = slice(None)


def view(fleet: FleetTable, row: int) -> FleetAgent:
    """Who is at `row`. Raises InvalidArgument: nobody is."""
    columns, place = fleet.columns, fleet.topology.place(row)
    if columns.liveness[row] == VACANT:
        raise InvalidArgument(f"There is no agent {place}: its place in the fleet is vacant.")
    one = slice(row, row + 1)
    its_class = fleet.classes.all[columns.class_code[row]]
    raised = flags(columns, fleet.classes, one)
    lead_ms = in_ms(columns.lead_ms, one)
    is_measured = columns.average_ms[row] >= 0
    return FleetAgent(
        agent=str(place),
        sector=place.sector,
        cluster=place.cluster,
        class_name=its_class.name,
        class_title=its_class.title,
        liveness=LIVENESS_CODES[columns.liveness[row] - 1],
        duty=DUTY_CODES[columns.duty[row]],
        name=fleet.name_of(row),
        host=fleet.hosts.texts[columns.host[row]],
        capabilities=fleet.capabilities.names_of(row, columns.capabilities),
        flags=tuple(name for name, is_raised in zip(FLAGS, raised, strict=True) if is_raised[0]),
        lead_ms=float(lead_ms[0]),
        score=float(prior.score(lead_ms)[0]),
        rtt_ms=float(in_ms(columns.rtt_ms, one)[0]) if is_measured else None,
        processing_ms=float(in_ms(columns.processing_ms, one)[0]),
        queue_depth=int(columns.queue_depth[row]),
        reliability=float(as_ratio(columns.reliability, one)[0]),
        drift=float(as_ratio(columns.drift, one)[0]),
        heartbeat_ms=int(columns.heartbeat_ms[row]),
        task=fleet.words.texts[columns.task[row]],
        task_since_ms=int(columns.task_since_ms[row]),
        waits_on=fleet.words.texts[columns.waits_on[row]],
        waits_since_ms=int(columns.waits_since_ms[row]),
        context=context_text(int(columns.context_hash[row])),
    )


def in_ms(column: Singles, index: Index = _ALL) -> Doubles:
    """40.1 where the column holds 40.099998."""
    return column[index].astype(np.float64).round(DECIMALS_OF_MS)


def as_ratio(column: Singles, index: Index = _ALL) -> Doubles:
    """0.95 where the column holds 0.949999988."""
    return column[index].astype(np.float64).round(DECIMALS_OF_RATIO)


def context_text(context_hash: int) -> str:
    return f"{context_hash:016x}" if context_hash else ""
