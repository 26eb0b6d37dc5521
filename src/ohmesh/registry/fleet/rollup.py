"""What a fleet is like in its parts and as a whole: agents summed up to clusters, clusters to sectors, and to the mesh.

Parts are weighted by their agents: what is kept of a part (Tally) are sums, extremes and a sketch of the leads, which
add up exactly; means and quantiles are taken at the end, of each level from its own sums. A part with nobody in it has
no mean, no quantile and no rate (NaN), and no best or worst.

- members: neither vacant nor left. able: active and ready; the active rate is able/members.
- Leads, queues, drift and reliability are of those that are heard of (active or suspect). People take a minute by
  nature and would drown all others, so they are left out of these figures unless somebody asks for them (`among`).
- health: mean of impedance.health over the members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ohmesh.model.fleet_agent import FLAGS
from ohmesh.registry.fleet.columns import Doubles, Mask, Rows
from ohmesh.registry.fleet.impedance import flags, health
from ohmesh.registry.fleet.liveness import IS_HEARD, IS_MEMBER, is_able
from ohmesh.registry.fleet.part import MESH, Part
from ohmesh.registry.fleet.sketch import Counts, SketchShape
from ohmesh.registry.fleet.table import FleetTable

NOBODY = -1
LEADS = SketchShape()
_OF_MEMBERS = ("members", "able", "health", *FLAGS)
_OF_TIMED = ("timed", "lead_ms", "queue_depth", "reliability", "drift")
_SUMMED = (*_OF_MEMBERS, *_OF_TIMED)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Of n parts. sums: (n, one for each of _SUMMED). least_ms, most_ms: (n,), of leads. sketches: (n, buckets)."""

    sums: Doubles
    least_ms: Doubles
    most_ms: Doubles
    sketches: Counts

    def merged(self, size: int) -> Tally:
        """Of the wholes that each `size` neighbours make."""
        return Tally(
            self.sums.reshape(-1, size, len(_SUMMED)).sum(axis=1),
            self.least_ms.reshape(-1, size).min(axis=1),
            self.most_ms.reshape(-1, size).max(axis=1),
            self.sketches.reshape(-1, size, LEADS.buckets).sum(axis=1),
        )

    def __add__(self, other: Tally) -> Tally:
        """Of parts whose agents were told of by two, such as a cluster that lives in two hosts."""
        return Tally(
            self.sums + other.sums,
            np.minimum(self.least_ms, other.least_ms),
            np.maximum(self.most_ms, other.most_ms),
            self.sketches + other.sketches,
        )

    def sum(self, name: str) -> Doubles:
        return self.sums[:, _SUMMED.index(name)]


@dataclass(frozen=True, slots=True, eq=False)
class Summaries:
    """Of all parts of a level, arrays of one length; NaN, and NOBODY among numbers, where a part has nobody.

    degraded, unstable, spike: how many members are flagged so. health: 0..1.
    healthiest, sickest, fastest, slowest: the number of a part one level below (of a cluster: the row of an agent)."""

    members: npt.NDArray[np.int64]
    able: npt.NDArray[np.int64]
    active_rate: Doubles
    mean_lead_ms: Doubles
    p50_lead_ms: Doubles
    p95_lead_ms: Doubles
    least_lead_ms: Doubles
    most_lead_ms: Doubles
    queue_depth: Doubles
    reliability: Doubles
    drift: Doubles
    health: Doubles
    degraded: npt.NDArray[np.int64]
    unstable: npt.NDArray[np.int64]
    spike: npt.NDArray[np.int64]
    healthiest: Rows
    sickest: Rows
    fastest: Rows
    slowest: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """mesh: summaries of one part; sectors, clusters: in the order of their numbers."""

    mesh: Summaries
    sectors: Summaries
    clusters: Summaries

    def by_part(self, name: str) -> npt.NDArray[np.generic]:
        """One figure of every part of the fleet, in the order of Part.number."""
        return np.concatenate([getattr(level, name) for level in (self.mesh, self.sectors, self.clusters)])


class _Children(NamedTuple):
    """What the best and the worst of a part are chosen from: arrays of one length, NaN where there is nobody."""

    lead_ms: Doubles
    health: Doubles


def roll_up(fleet: FleetTable, now_ms: int, *, among: Mask | None = None) -> Rollup:
    """The whole fleet at mesh time `now_ms`. among: only these rows, people too (those of a selector, say)."""
    shape = fleet.topology
    agents, clusters = tally_clusters(fleet, now_ms, among=among)
    sectors = clusters.merged(shape.clusters)
    mesh = sectors.merged(shape.sectors)
    of_clusters = summarise(clusters, agents)
    of_sectors = summarise(sectors, _Children(of_clusters.mean_lead_ms, of_clusters.health))
    of_mesh = summarise(mesh, _Children(of_sectors.mean_lead_ms, of_sectors.health))
    return Rollup(of_mesh, of_sectors, of_clusters)


def tally_clusters(fleet: FleetTable, now_ms: int, *, among: Mask | None = None) -> tuple[_Children, Tally]:
    """Of each agent and of each cluster, what their summaries are made of."""
    columns, shape = fleet.columns, fleet.topology
    is_member = IS_MEMBER[columns.liveness]
    is_timed = IS_HEARD[columns.liveness]
    if among is None:
        is_timed &= ~np.array([one.is_human for one in fleet.classes.all])[columns.class_code]
    else:
        is_member &= among
        is_timed &= among
    able = is_able(columns)
    well = health(columns, able, now_ms)
    lead_ms = columns.lead_ms.astype(np.float64)
    values = {
        **dict(zip(FLAGS, flags(columns, fleet.classes), strict=True)),
        "members": is_member,
        "able": able,
        "health": well,
        "timed": is_timed,
        "lead_ms": lead_ms,
        "queue_depth": columns.queue_depth,
        "reliability": columns.reliability,
        "drift": columns.drift,
    }
    parts = (shape.sectors * shape.clusters, shape.agents)
    sums = [
        np.where(is_timed if name in _OF_TIMED else is_member, values[name], 0.0).reshape(parts).sum(axis=1)
        for name in _SUMMED
    ]
    timed = np.flatnonzero(is_timed)
    agents = _Children(np.where(is_timed, lead_ms, np.nan), np.where(is_member, well, np.nan))
    return agents, Tally(
        np.stack(sums, axis=1),
        np.where(is_timed, lead_ms, np.inf).reshape(parts).min(axis=1),
        np.where(is_timed, lead_ms, -np.inf).reshape(parts).max(axis=1),
        LEADS.count(lead_ms[timed], timed // shape.agents, parts[0]),
    )


def summarise(tally: Tally, children: _Children) -> Summaries:
    """children: of the parts one level below, as many for each part, in order."""
    members, timed = tally.sum("members"), tally.sum("timed")
    has_lead = timed > 0
    p50, p95 = LEADS.quantiles(tally.sketches, (0.5, 0.95))
    return Summaries(
        members=members.astype(np.int64),
        able=tally.sum("able").astype(np.int64),
        active_rate=_share(tally.sum("able"), members),
        mean_lead_ms=_share(tally.sum("lead_ms"), timed),
        p50_lead_ms=np.clip(p50, tally.least_ms, tally.most_ms),
        p95_lead_ms=np.clip(p95, tally.least_ms, tally.most_ms),
        least_lead_ms=np.where(has_lead, tally.least_ms, np.nan),
        most_lead_ms=np.where(has_lead, tally.most_ms, np.nan),
        queue_depth=_share(tally.sum("queue_depth"), timed),
        reliability=_share(tally.sum("reliability"), timed),
        drift=_share(tally.sum("drift"), timed),
        health=_share(tally.sum("health"), members),
        degraded=tally.sum("degraded").astype(np.int64),
        unstable=tally.sum("unstable").astype(np.int64),
        spike=tally.sum("spike").astype(np.int64),
        healthiest=_first_of(-children.health, len(members)),
        sickest=_first_of(children.health, len(members)),
        fastest=_first_of(children.lead_ms, len(members)),
        slowest=_first_of(-children.lead_ms, len(members)),
    )


def active_rate(fleet: FleetTable, part: Part = MESH) -> float:
    """Able to members of a part; NaN where nobody is a member."""
    rows = part.rows(fleet.topology)
    members = int(IS_MEMBER[fleet.columns.liveness[rows]].sum())
    return int(is_able(fleet.columns, rows).sum()) / members if members else float("nan")


def _share(part: Doubles, whole: Doubles) -> Doubles:
    share: Doubles = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


def _first_of(values: Doubles, parts: int) -> Rows:
    """Of each part the number of its child with the least value, the first of those that are level."""
    ranked = np.where(np.isnan(values), np.inf, values).reshape(parts, -1)
    least = ranked.argmin(axis=1)
    numbers = least + np.arange(parts) * ranked.shape[1]
    return np.where(np.isinf(ranked.min(axis=1)), NOBODY, numbers)
