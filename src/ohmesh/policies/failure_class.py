"""What is wrong with an agent or a sector, from the evidence, and what is done about it.

    class               evidence                                      then                       escalated
    TRANSIENT_NETWORK   a timeout                                     retried with backoff       at the 3rd
    IMPEDANCE_SPIKE     above 2x its own average                      routed around              at 2 in a cluster
    AGENT_CRASH         silent past the death time of its profile     replaced, synced           when that fails
    CONTEXT_CORRUPTION  its context has a wrong hash                  quarantined, reloaded      at once
    BYZANTINE_BEHAVIOR  contradicts 3 or more agents                  quarantined, proof kept    at once
    CASCADE_FAILURE     failures of a sector double in 3 windows      sector isolated            at once

Of several that fit, the one that stands lowest here is named: it asks for the most. Evidence is columns, so the whole
fleet is classified at once. Deciding is all that happens here; whoever holds the agents does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Scope

Numbers = NDArray[np.int64]


class FailureClass(IntEnum):
    """By what it asks for, the least first; a code in columns, where NONE is that nothing is wrong."""

    NONE = 0
    TRANSIENT_NETWORK = 1
    IMPEDANCE_SPIKE = 2
    AGENT_CRASH = 3
    CONTEXT_CORRUPTION = 4
    BYZANTINE_BEHAVIOR = 5
    CASCADE_FAILURE = 6


class Remedy(StrEnum):
    """In each row of RESPONSES in the order in which they are done."""

    RETRY_WITH_BACKOFF = "retry_with_backoff"
    SPAWN_REPLACEMENT = "spawn_replacement"
    SYNC_REPLACEMENT = "sync_replacement"
    ROUTE_AROUND = "route_around"
    QUARANTINE = "quarantine"
    RELOAD_KNOWN_GOOD = "reload_known_good"
    KEEP_EVIDENCE = "keep_evidence"
    ISOLATE_SECTOR = "isolate_sector"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureConfig:
    """timeouts: from so many on. spike_factor: above so many times the own average. contradicted: by so many agents or
    more. windows: so many in a row, each with at least `growth` times the failures of the one before; the last of them
    holds at least `least_failures`, for two failures after one are no cascade."""

    timeouts: int = 1
    spike_factor: float = 2.0
    contradicted: int = 3
    windows: int = 3
    growth: float = 2.0
    least_failures: int = 6

    def __post_init__(self) -> None:
        if self.windows < 2 or min(self.timeouts, self.contradicted, self.least_failures) < 1:
            raise InvalidArgument("FailureConfig needs two windows, and bounds of at least 1.")
        if not (self.spike_factor > 1 and self.growth > 1):
            raise InvalidArgument("FailureConfig needs a spike_factor and a growth above 1.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Of n agents, each of shape (n,).

    timeouts: in a row, until an answer. silent_ms: since the last sign; death_ms: of its profile. impedance_ms: now;
    average_ms: its own, NaN or 0 where nothing was measured. context_hash: 0 where it has none; wanted_hash: 0 where
    none is wanted. contradicted: number of distinct agents that it contradicts.
    """

    timeouts: Numbers
    silent_ms: NDArray[np.float64]
    death_ms: NDArray[np.float64]
    impedance_ms: NDArray[np.float64]
    average_ms: NDArray[np.float64]
    context_hash: NDArray[np.uint64]
    wanted_hash: NDArray[np.uint64]
    contradicted: Numbers


class Escalation(StrEnum):
    """When a class is told further up. REPEATED: at the n-th time for one agent, successes in between forget it.
    IN_CLUSTER: when so many of a cluster have it. REPLACEMENT_FAILED: when what was done failed too."""

    AT_ONCE = "at_once"
    REPEATED = "repeated"
    IN_CLUSTER = "in_cluster"
    REPLACEMENT_FAILED = "replacement_failed"


class Response(Struct, frozen=True):
    """escalates, at: the rule. to: who is told; the mesh is its operators too."""

    remedies: tuple[Remedy, ...]
    escalates: Escalation
    at: int
    to: Scope


RESPONSES: dict[FailureClass, Response] = {
    FailureClass.TRANSIENT_NETWORK: Response(
        (Remedy.RETRY_WITH_BACKOFF,), Escalation.REPEATED, 3, Scope.CLUSTER
    ),
    FailureClass.IMPEDANCE_SPIKE: Response((Remedy.ROUTE_AROUND,), Escalation.IN_CLUSTER, 2, Scope.SECTOR),
    FailureClass.AGENT_CRASH: Response(
        (Remedy.SPAWN_REPLACEMENT, Remedy.SYNC_REPLACEMENT), Escalation.REPLACEMENT_FAILED, 1, Scope.SECTOR
    ),
    FailureClass.CONTEXT_CORRUPTION: Response(
        (Remedy.QUARANTINE, Remedy.RELOAD_KNOWN_GOOD), Escalation.AT_ONCE, 1, Scope.SECTOR
    ),
    FailureClass.BYZANTINE_BEHAVIOR: Response(
        (Remedy.QUARANTINE, Remedy.KEEP_EVIDENCE), Escalation.AT_ONCE, 1, Scope.ALL
    ),
    FailureClass.CASCADE_FAILURE: Response((Remedy.ISOLATE_SECTOR,), Escalation.AT_ONCE, 1, Scope.ALL),
}


class Treatment(Struct, frozen=True):
    """What to do now. `escalate_to`: None while it is handled where it was seen."""

    failure: FailureClass
    remedies: tuple[Remedy, ...]
    escalate_to: Scope | None = None


class History(Struct, frozen=True):
    """What is known beside the evidence. times: how often in a row this agent had this class, this time counted.
    in_cluster: how many agents of its cluster have it now. replacements_failed: of this agent."""

    times: int = 1
    in_cluster: int = 1
    replacements_failed: int = 0


def classify_agents(evidence: Evidence, config: FailureConfig | None = None) -> NDArray[np.uint8]:
    """Values of FailureClass, shape (n,). Raises InvalidArgument: columns of different length."""
    config = config or FailureConfig()
    columns: list[NDArray[Any]] = [getattr(evidence, name) for name in Evidence.__slots__]
    if len({len(column) for column in columns}) > 1:
        raise InvalidArgument(f"Columns of evidence have {[len(column) for column in columns]} rows.")
    is_measured = evidence.average_ms > 0
    is_hash_wrong = (evidence.wanted_hash != 0) & (evidence.context_hash != evidence.wanted_hash)
    fits = (
        (FailureClass.TRANSIENT_NETWORK, evidence.timeouts >= config.timeouts),
        (
            FailureClass.IMPEDANCE_SPIKE,
            is_measured & (evidence.impedance_ms > config.spike_factor * evidence.average_ms),
        ),
        (FailureClass.AGENT_CRASH, evidence.silent_ms > evidence.death_ms),
        (FailureClass.CONTEXT_CORRUPTION, is_hash_wrong),
        (FailureClass.BYZANTINE_BEHAVIOR, evidence.contradicted >= config.contradicted),
    )
    found = np.zeros(len(evidence.timeouts), np.uint8)
    for failure, has in fits:  # a later one asks for more
        found[has] = failure
    return found


def find_cascades(failures: NDArray[np.int64], config: FailureConfig | None = None) -> NDArray[np.bool_]:
    """Which sectors fail in a cascade. `failures`: shape (sectors, windows seen), the latest last. None is seen in
    fewer windows than it takes; from nothing nothing doubles."""
    config = config or FailureConfig()
    if failures.shape[1] < config.windows:
        return np.zeros(len(failures), bool)
    last = failures[:, -config.windows :]
    grows = (last[:, 1:] >= config.growth * last[:, :-1]).all(axis=1)
    cascades: NDArray[np.bool_] = grows & (last[:, 0] > 0) & (last[:, -1] >= config.least_failures)
    return cascades


def treat(failure: FailureClass, history: History | None = None) -> Treatment | None:
    """None where nothing is wrong. What is done is done at once; who is told depends on the history."""
    if failure is FailureClass.NONE:
        return None
    response, history = RESPONSES[failure], history or History()
    counted = {
        Escalation.AT_ONCE: response.at,
        Escalation.REPEATED: history.times,
        Escalation.IN_CLUSTER: history.in_cluster,
        Escalation.REPLACEMENT_FAILED: history.replacements_failed,
    }
    is_due = counted[response.escalates] >= response.at
    return Treatment(failure, response.remedies, response.to if is_due else None)


def crowded_clusters(
    found: NDArray[np.uint8], clusters: Sequence[int] | NDArray[np.int64], failure: FailureClass
) -> NDArray[np.intp]:
    """For each agent how many of its cluster have this class now; `clusters`: the number of each agent's."""
    numbers = np.asarray(clusters, np.intp)
    if not len(numbers):
        return np.zeros(0, np.intp)
    return np.bincount(numbers[found == failure], minlength=int(numbers.max()) + 1)[numbers]
