"""Small fleets, and figures for them that need no thought."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ohmesh.model.agent import Liveness
from ohmesh.model.fleet_columns import LIVENESS_CODES, WHOLE_SECTOR
from ohmesh.model.fleet_table import HeartbeatTable, Places
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.joining import Joining
from ohmesh.registry.fleet.registry import FleetRegistry, Heard

HOST = "box-1"
START_MS = 1_767_225_600_000  # 2026-01-01
SMALL = Topology(sectors=3, clusters=2, agents=5)


def rows_of(*rows: int) -> npt.NDArray[np.intp]:
    return np.array(sorted(rows), np.intp)


def joining(rows: npt.NDArray[np.intp], **fields: Any) -> Joining:
    """Of class A, of HOST, at START_MS, unless `fields` say otherwise."""
    given = {"host": HOST, "at_ms": START_MS, "class_codes": np.zeros(len(rows), np.uint8), **fields}
    return Joining(rows=rows, **given)


def places_of(rows: npt.NDArray[np.intp], topology: Topology) -> Places:
    """Raises IndexError where they are of several sectors."""
    clusters, numbers = np.divmod(rows, topology.agents)
    (sector,) = set((clusters // topology.clusters).tolist()) or {0}
    within = (clusters % topology.clusters).astype(np.uint8)
    return Places(sector, WHOLE_SECTOR, within, numbers.astype(np.uint16))


def beats(
    rows: npt.NDArray[np.intp],
    work: dict[str, Any] | None = None,
    *,
    topology: Topology = SMALL,
    **fields: Any,
) -> HeartbeatTable:
    """RTT 40 ms, processing 10 ms, nothing waits, drift 0.25; `fields` have figures for all, or arrays."""
    figures: dict[str, tuple[Any, type]] = {
        "rtt_ms": (40, np.float32),
        "processing_ms": (10, np.float32),
        "queue_depth": (0, np.uint32),
        "reliability": (1, np.float32),
        "drift": (0.25, np.float32),
        "liveness": (LIVENESS_CODES.index(Liveness.ACTIVE), np.uint8),
        "duty": (0, np.uint8),
        "context_hash": (7, np.uint64),
    }
    arrays: dict[str, Any] = {
        name: np.array(np.broadcast_to(fields.pop(name, usual), len(rows)), dtype)
        for name, (usual, dtype) in figures.items()
    }
    assert not fields, f"no such fields: {fields}"
    return HeartbeatTable(places_of(rows, topology), **arrays, **(work or {}))


def work(
    words: tuple[str, ...], task: list[int], waits_on: list[int], since_ms: int = START_MS
) -> dict[str, Any]:
    """`task` and `waits_on` count from 1 into `words`."""
    return {
        "words": words,
        "task": np.array(task, np.uint16),
        "since_us": np.where(np.array(task) > 0, since_ms * 1_000, 0),
        "waits_on": np.array(waits_on, np.uint16),
    }


def fleet(topology: Topology = SMALL, **fields: Any) -> FleetRegistry:
    """Every place has an agent of HOST that has just been heard of."""
    registry = FleetRegistry(topology)
    rows = np.arange(topology.size)
    registry.insert(joining(rows, **fields))
    for rows in np.split(np.arange(topology.size), topology.sectors):
        registry.heartbeat(HOST, START_MS, beats(rows, topology=topology))
    return registry


def hear(registry: FleetRegistry, rows: npt.NDArray[np.intp], at_ms: int = START_MS, **fields: Any) -> Heard:
    """From HOST, of agents of one sector."""
    return registry.heartbeat(HOST, at_ms, beats(rows, topology=registry.topology, **fields))
