"""What does it cost to decide about a whole fleet: who is asked when, what their answers come to, what is let through?

    python benchmarks/operations.py [--repeats 9] [--json]

Pure decisions on 30,000 agents (100 sectors of 300) and, for send times, on 1,000,000. Processor time, medians, in
milliseconds; nothing is sent. Leads are drawn from a heavy-tailed distribution.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from ohmesh.model.topology import Topology  # noqa: E402
from ohmesh.policies.failure_class import Evidence, classify_agents  # noqa: E402
from ohmesh.policies.regional_breaker import RegionalBreaker  # noqa: E402
from ohmesh.protocols.arrival.cascade import Cascade  # noqa: E402
from ohmesh.protocols.arrival.cascade_plan import WAVE  # noqa: E402
from ohmesh.protocols.arrival.cascade_sector import CascadeSector  # noqa: E402
from ohmesh.protocols.arrival.gather import Gather, GatherConfig  # noqa: E402
from ohmesh.protocols.arrival.operation import Answers, Released, SectorRecord  # noqa: E402
from ohmesh.protocols.arrival.operation_wire import decode_record, encode_record  # noqa: E402
from ohmesh.protocols.arrival.release import Sleeper  # noqa: E402
from ohmesh.protocols.arrival.schedule import plan_releases  # noqa: E402

FLEET = Topology()
CONFIG = GatherConfig()
TARGET_MS = CONFIG.target_ms(0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {name: round(median_ms(work, options.repeats), 3) for name, work in questions().items()}
    report = {
        "figures_ms": figures,
        "sector_record_bytes": len(encode_record(answered(0))),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "commit": commit(),
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, figure in figures.items():
            print(f"{figure:10.3f} ms  {name}")
        print(f"{report['sector_record_bytes']:>10} B   a sector's record in which all 300 have answered")
        print(f"{report['machine']}, load {report['load']:.1f}, commit {report['commit']}")
    return 0


def questions() -> dict[str, Callable[[], object]]:
    leads, many = leads_ms(FLEET.size), leads_ms(1_000_000)
    folds = [encode_record(answered(sector)) for sector in range(FLEET.sectors)]
    clusters = [
        part_of(sector, cluster) for sector in range(FLEET.sectors) for cluster in range(FLEET.clusters)
    ]
    breaker, rows = RegionalBreaker(FLEET), np.arange(FLEET.size)
    seen = evidence()
    return {
        "send times of 30,000": lambda: plan_releases(leads, TARGET_MS, 0),
        "send times of 1,000,000": lambda: plan_releases(many, TARGET_MS, 0),
        "send times of 30,000 and every waking of the sleeper": lambda: release_all(leads),
        "30,000 answers counted in 100 sectors": lambda: [
            answered(sector) for sector in range(FLEET.sectors)
        ],
        "gather: 100 sectors fold, read and decided": lambda: gather(folds),
        "gather: 1,000 clusters fold and decided": lambda: gather_parts(clusters),
        "wave: 100 sectors acknowledge, fold, read and decided": lambda: wave(folds),
        "breakers: 30,000 messages let through": lambda: breaker.admit(rows),
        "30,000 agents classified": lambda: classify_agents(seen),
    }


def leads_ms(count: int) -> NDArray[np.float64]:
    """Median 33 ms, one in a hundred above 200, quantiles of a logarithmic normal distribution in mixed order."""
    places = (np.arange(count) * 0.618_033_988_75) % 1.0
    normal = np.array(
        [statistics.NormalDist(3.5, 0.8).inv_cdf((step + 0.5) / 4_096) for step in range(4_096)]
    )
    leads: NDArray[np.float64] = np.exp(normal[(places * 4_096).astype(int)])
    return leads


def empty(sector: int) -> SectorRecord:
    rows = FLEET.rows_of_sector(sector)
    return SectorRecord(sector, np.arange(rows.start, rows.stop), TARGET_MS)


def answered(sector: int) -> SectorRecord:
    record = empty(sector)
    record.take(Released(record.rows))
    record.take(Answers(record.rows, np.ones(len(record), np.int8), np.full(len(record), TARGET_MS)))
    return record


def part_of(sector: int, cluster: int) -> SectorRecord:
    rows = FLEET.rows_of_cluster(sector, cluster)
    part = SectorRecord(sector, np.arange(rows.start, rows.stop), TARGET_MS)
    part.take(answered(sector))
    return part


def evidence() -> Evidence:
    ones = np.ones(FLEET.size)
    whole, hashes = ones.astype(np.int64), ones.astype(np.uint64)
    return Evidence(
        timeouts=whole,
        silent_ms=ones,
        death_ms=ones,
        impedance_ms=ones,
        average_ms=ones,
        context_hash=hashes,
        wanted_hash=hashes,
        contradicted=whole,
    )


def release_all(leads: NDArray[np.float64]) -> None:
    sleeper = Sleeper()
    sleeper.add("operation", plan_releases(leads, TARGET_MS, 0))
    while (wake_ms := sleeper.wake_ms) is not None:
        sleeper.due(wake_ms)


def gather(folds: list[bytes]) -> None:
    machine = Gather("operation", [empty(sector) for sector in range(FLEET.sectors)], 0, CONFIG)
    for sector, data in enumerate(folds):
        machine.take(sector, decode_record(data), TARGET_MS)
    assert machine.decision is not None


def gather_parts(parts: list[SectorRecord]) -> None:
    machine = Gather("operation", [empty(sector) for sector in range(FLEET.sectors)], 0, CONFIG)
    for part in parts:
        machine.take(part.sector, part, TARGET_MS)
    assert machine.decision is not None


def wave(folds: list[bytes]) -> None:
    sectors = [CascadeSector(empty(sector), WAVE, FLEET) for sector in range(FLEET.sectors)]
    cascade = Cascade("operation", WAVE, sectors, 0)
    cascade.begin()
    for sector in range(FLEET.sectors):
        cascade.reached(sector, 20, clusters=FLEET.clusters)
    for sector, data in enumerate(folds):
        cascade.take(sector, decode_record(data), TARGET_MS)
    assert cascade.decision is not None


def median_ms(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(1_000 * (time.process_time() - started))
    return statistics.median(times)


def commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
