"""Ours and the peers in one run, by turns; medians, and how ours stands to the best of them."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from benchmarks.own_mesh import Sample
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.environment import Unavailable, version_of
from benchmarks.peers.stack import Stack, running

ROUNDS = 3
WARM_UP = 300
ROUND_S = 3.0
TASKS_MIN, TASKS_MAX = 500, 5_000
ROUND_TRIPS = 300
PEERS_BETWEEN = 3  # samples of ours
RATIOS = ("submit_per_s", "enqueue_per_s", "bulk_per_s", "round_trip_p50", "round_trip_p99", "memory_mib")

Figures = dict[str, Any]


def compare(measure: Callable[[str], Sample], *, only: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """`measure(durability)` starts a mesh, takes a sample of it and ends it."""
    strange = only - {peer.name for peer in PEERS}
    if strange:
        raise SystemExit(f"no peer {sorted(strange)}; there are {', '.join(peer.name for peer in PEERS)}")
    ours: list[Sample] = []
    peers: dict[str, Figures] = {}
    missing: dict[str, str] = {}
    for place, peer in enumerate(peer for peer in PEERS if not only or peer.name in only):
        if place % PEERS_BETWEEN == 0:
            _say("ours")
            ours.append(measure("interval"))
        _say(peer.name)
        try:
            peers[peer.name] = _measure_peer(peer)
        except Unavailable as reason:
            missing[peer.name] = str(reason)
    _say("ours")
    ours.append(measure("interval"))
    ours_fsync = figures_of([measure("fsync")])
    figures = figures_of(ours)
    return {
        "ours": figures,
        "ours_fsync": ours_fsync,
        "peers": peers,
        "peers_missing": missing,
        "ratio_to_best_peer": _ratios(figures, list(peers.values())),
    }


def figures_of(samples: Sequence[Sample]) -> Figures:
    rounds = [rate for each in samples for rate in each.rounds_per_s]
    trips = {
        "p50": statistics.median(each.trip_p50_ms for each in samples),
        "p99": statistics.median(each.trip_p99_ms for each in samples),
    }
    return {
        "submit_per_s": round(statistics.median(rounds)),
        "enqueue_per_s": round(statistics.median(each.enqueue_per_s for each in samples)),
        "bulk_per_s": round(statistics.median(each.bulk_per_s for each in samples)),
        "round_trip_ms": {name: round(value, 3) for name, value in trips.items()},
        "memory_mib": round(statistics.median(each.memory_mib for each in samples), 1),
        "rounds_per_s": [round(rate) for rate in rounds],
    }


def _measure_peer(peer: Peer) -> Figures:
    with running(peer) as stack:
        stack.ask("one_by_one", WARM_UP)
        rate = stack.ask("one_by_one", WARM_UP)["per_s"]
        tasks = round(min(max(rate * ROUND_S, TASKS_MIN), TASKS_MAX))
        rounds = [stack.ask("one_by_one", tasks) for _ in range(ROUNDS)]
        memory_mib = stack.memory_mib()
        trips = stack.ask("round_trips", ROUND_TRIPS)
        bulk_per_s = _bulk(stack, tasks)
    rates = [each["per_s"] for each in rounds]
    return {
        "version": version_of(peer.environment),
        "submit_per_s": round(statistics.median(rates)),
        "enqueue_per_s": round(statistics.median(each["enqueue_per_s"] for each in rounds)),
        "bulk_per_s": bulk_per_s,
        "round_trip_ms": {name: round(value, 3) for name, value in trips.items()},
        "memory_mib": round(memory_mib, 1),
        "rounds_per_s": [round(rate) for rate in rates],
        "tasks": tasks,
    }


def _bulk(stack: Stack, tasks: int) -> int | None:
    """None where the library takes tasks only one by one."""
    rounds = [stack.ask("bulk", tasks) for _ in range(ROUNDS)]
    return round(statistics.median(each["per_s"] for each in rounds)) if all(rounds) else None


def _ratios(ours: Figures, peers: Sequence[Figures]) -> dict[str, float]:
    """How many times better ours is than the best peer in each figure. Where a peer has no bulk, its rate one by one is
    what its users have."""
    if not peers:
        return {}
    best = {
        "submit_per_s": max(each["submit_per_s"] for each in peers),
        "enqueue_per_s": max(each["enqueue_per_s"] for each in peers),
        "bulk_per_s": max(each["bulk_per_s"] or each["submit_per_s"] for each in peers),
    }
    ratios = {name: ours[name] / value for name, value in best.items()}
    for name in ("p50", "p99"):
        ratios[f"round_trip_{name}"] = (
            min(each["round_trip_ms"][name] for each in peers) / ours["round_trip_ms"][name]
        )
    ratios["memory_mib"] = min(each["memory_mib"] for each in peers) / ours["memory_mib"]
    return {name: round(value, 2) for name, value in ratios.items()}


def _say(what: str) -> None:
    sys.stderr.write(f"measuring {what}\n")
