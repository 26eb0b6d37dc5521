"""How long do questions to the registry of a fleet take? Processor time of one thread, medians of several rounds.

    python benchmarks/registry.py [--rounds 15] [--json]

A full fleet of 30,000 agents in six classes, with names for one in a hundred, everybody heard of and a quarter at work.

send_times_ms, send_times_1m_ms: T minus the published lead at weight 0.5, for 30,000 and for 1,000,000 agents.
best_of_capability_ms: the 500 best of the 10,000 that have a capability; anyone_ms: the 500 best of all.
heartbeat_300_ms: one frame of a sector, tables in, columns written; ..._at_work_ms: the same with tasks and waits.
insert_30k_ms: all of them join in one call, with capabilities. sweep_ms: the silence of all.
rollup_ms: 1,000 clusters, 100 sectors and the mesh summed up. selector_ms: the example of docs/selectors.md.
read_ms: one agent in words. changes_6000_ms, changes_6000_bytes, apply_6000_ms: what a second of heartbeats costs a
replica, which is told of its changes every half second. described_ms, sectors_ms, clusters_ms, page_ms: what it answers
to `fleet`, `fleet sectors`, `fleet clusters` and `fleet agents` (100 of them), as it goes into the reply.
bytes_per_agent: of columns; words and names of this fleet beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ohmesh.model.agent_class import STANDARD_CLASSES
from ohmesh.model.fleet_columns import WHOLE_SECTOR
from ohmesh.model.fleet_operation import FleetView, Member
from ohmesh.model.fleet_reading import Source
from ohmesh.model.fleet_request import DescribeFleet, ListAgents, ListScopes, encode_answer
from ohmesh.model.fleet_table import HeartbeatTable, Places
from ohmesh.model.topology import Topology
from ohmesh.protocols.arrival import prior
from ohmesh.protocols.membership.fleet_roles import fleet_roles
from ohmesh.registry.fields import FLEET
from ohmesh.registry.fleet.best import best_agents
from ohmesh.registry.fleet.joining import Joining
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.registry.fleet.replica import Replica, decode_changes, encode_changes
from ohmesh.registry.fleet.rollup import roll_up
from ohmesh.registry.fleet.selection import select
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.registry.fleet.view import view
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.fleet.reads import Read, Reading

ROOT = Path(__file__).resolve().parent.parent
HOST = "box-1"
START_MS = 1_767_225_600_000
SELECTOR = "class=gpu and sector in (3,7) and impedance>400ms and not state=quarantined"
GOALS_MS = {
    "send_times_ms": 3.0,
    "send_times_1m_ms": 120.0,
    "best_of_capability_ms": 1.0,
    "heartbeat_300_ms": 0.1,
    "read_ms": 1.0,
    "described_ms": 10.0,
    "sectors_ms": 10.0,
    "clusters_ms": 10.0,
    "page_ms": 10.0,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=15, help="per figure; their median is told")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:26} {value!s:>10}   {f'goal {GOALS_MS[name]:g}' if name in GOALS_MS else ''}")
    return 0 if figures["within_goals"] else 1


def measure(rounds: int) -> dict[str, object]:
    shape = Topology()
    joining, fleet = everybody(shape), FleetRegistry(shape)

    def timed(question: Callable[[int], object], *, calls: int = 1) -> float:
        return processor_ms(question, rounds, calls)

    figures: dict[str, object] = {"agents": shape.size}
    figures["insert_30k_ms"] = timed(lambda _turn: FleetRegistry(shape).insert(joining))
    fleet.insert(joining)
    for sector in range(shape.sectors):
        fleet.heartbeat(HOST, START_MS, heartbeats(shape, sector, is_at_work=sector % 4 == 0))
    idle, busy = (heartbeats(shape, 7, is_at_work=is_at_work) for is_at_work in (False, True))
    selector = compile_selector(SELECTOR, FLEET)
    million = columns_of(1_000_000)
    columns = fleet.columns
    ours = (columns.rtt_ms, columns.processing_ms, columns.queue_depth, columns.drift)
    figures |= {
        "send_times_ms": timed(lambda _turn: send_times(*ours), calls=20),
        "send_times_1m_ms": timed(lambda _turn: send_times(*million)),
        "best_of_capability_ms": timed(lambda _turn: best_agents(fleet, ["edge"]), calls=20),
        "anyone_ms": timed(lambda _turn: best_agents(fleet, []), calls=20),
        "heartbeat_300_ms": timed(lambda turn: fleet.heartbeat(HOST, START_MS + turn, idle), calls=200),
        "heartbeat_300_at_work_ms": timed(
            lambda turn: fleet.heartbeat(HOST, START_MS + turn, busy), calls=200
        ),
        "sweep_ms": timed(lambda _turn: fleet.sweep(START_MS), calls=20),
        "rollup_ms": timed(lambda _turn: roll_up(fleet, START_MS), calls=5),
        "selector_ms": timed(lambda _turn: select(fleet, selector, START_MS), calls=20),
        "read_ms": timed(lambda turn: view(fleet, turn * 37 % shape.size), calls=200),
        **replication(fleet, timed),
        "bytes_per_agent": round(fleet.columns.nbytes / shape.size, 1),
        "words": len(fleet.words),
    }
    is_good = all(float(str(figures[name])) < goal for name, goal in GOALS_MS.items())
    return figures | {"within_goals": is_good, "machine": machine(), "commit": commit()}


def replication(fleet: FleetRegistry, timed: Callable[..., float]) -> dict[str, object]:
    """A second in which twenty sectors were heard of."""
    follower = Replica(FleetRegistry(fleet.topology))
    for data in encode_changes(fleet, 1):
        follower.take(decode_changes(data))
    position = follower.position
    for sector in range(20):
        fleet.heartbeat(
            HOST, START_MS + 10_000, heartbeats(fleet.topology, sector, is_at_work=sector % 4 == 0)
        )
    frames = encode_changes(fleet, 1, after=position)
    version = follower.fleet.version

    def apply(_turn: int) -> None:
        follower.fleet.version = version  # so that the same changes are news again
        for data in frames:
            follower.take(decode_changes(data))

    return {
        "changes_6000_ms": timed(lambda _turn: encode_changes(fleet, 1, after=position), calls=5),
        "changes_6000_bytes": sum(map(len, frames)),
        "apply_6000_ms": timed(apply, calls=5),
        **reads(follower.fleet, timed),
    }


def reads(fleet: FleetTable, timed: Callable[..., float]) -> dict[str, object]:
    """Answers of a replica, encoded."""
    shape = fleet.topology
    view = FleetView(1, 1, "node-1", (shape.sectors, shape.clusters, shape.agents), (Member(HOST, 1),))
    reading = Reading(
        fleet, view, fleet_roles(shape, view.members), "FULL", START_MS, Source("node-2", 500.0)
    )
    questions: dict[str, Read] = {
        "described_ms": DescribeFleet(),
        "sectors_ms": ListScopes(),
        "clusters_ms": ListScopes(clusters=True),
        "page_ms": ListAgents("class=edge and state=ready", limit=100),
    }
    return {
        name: timed(lambda _turn, asked=asked: encode_answer(reading.answer(asked)), calls=3)
        for name, asked in questions.items()
    }


def send_times(
    rtt_ms: np.ndarray, processing_ms: np.ndarray, queue_depth: np.ndarray, drift: np.ndarray
) -> np.ndarray:
    """Mesh time in milliseconds when the message for each agent leaves, to be there at START_MS."""
    work_ms = prior.processing_ms(processing_ms, 0.5, queue_depth)
    return START_MS - prior.lead_ms(work_ms, rtt_ms, drift)


def everybody(shape: Topology) -> Joining:
    rows = np.arange(shape.size)
    codes = np.repeat(np.arange(len(STANDARD_CLASSES)), [one.share for one in STANDARD_CLASSES])
    return Joining(
        host=HOST,
        at_ms=START_MS - 1,
        rows=rows,
        class_codes=codes[(rows * 7_919) % shape.size].astype(np.uint8),
        capability_sets=((), ("ocr",), ("ocr", "asr")),
        set_of=rows % 3,
        names={row: f"agent {row}" for row in range(0, shape.size, 100)},
    )


def heartbeats(shape: Topology, sector: int, *, is_at_work: bool) -> HeartbeatTable:
    rtt_ms, processing_ms, queue_depth, drift = columns_of(shape.sector_size)
    count = shape.sector_size
    within = np.arange(count)
    places = Places(
        sector,
        WHOLE_SECTOR,
        (within // shape.agents).astype(np.uint8),
        (within % shape.agents).astype(np.uint16),
    )
    figures = HeartbeatTable(
        places,
        rtt_ms,
        processing_ms,
        queue_depth,
        np.full(count, 0.99, np.float32),
        drift,
        np.ones(count, np.uint8),
        np.zeros(count, np.uint8),
        np.full(count, 7, np.uint64),
    )
    if not is_at_work:
        return figures
    words = ("printer", *(f"task-{sector}-{number}" for number in range(count)))
    return replace(
        figures,
        words=words,
        task=(within + 2).astype(np.uint16),
        since_us=np.full(count, START_MS * 1_000, np.int64),
        waits_on=(within % 2).astype(np.uint16),
    )


def columns_of(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """RTT, processing, queue and drift of made-up agents, spread evenly and out of order."""
    spread = np.arange(1, count + 1) * 0.618_033_988_75 % 1
    return (
        (5 + 200 * spread).astype(np.float32),
        (10 + 600 * spread[::-1]).astype(np.float32),
        (10 * spread).astype(np.uint32),
        (0.6 * spread).astype(np.float32),
    )


def processor_ms(question: Callable[[int], object], rounds: int, calls: int) -> float:
    """Median over rounds of the mean of so many calls; the first round is for warmth and not counted."""
    taken = []
    for turn in range(rounds + 1):
        started = time.process_time()
        for call in range(calls):
            question(turn * calls + call)
        taken.append((time.process_time() - started) * 1_000 / calls)
    return round(statistics.median(taken[1:]), 4)


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"


def commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
