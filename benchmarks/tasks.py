"""How many tasks a second, and how long for one: a trivial task, durable, run by plain `def`; beside others who do it.

    python benchmarks/tasks.py [--durability interval|fsync] [--tasks 20000] [--rounds 5] [--bulk 200000] [--json]
    python benchmarks/tasks.py --peers [--only celery,huey] [--json]

A mesh is started as `ohmesh up` does it: its own nats-server, two node processes, one worker with the default runners.
Each task has its own id, state and result; it counts when its result has come back to the client.

submit_per_s: tasks submitted one by one (each its own call), with at most --window unanswered, from the first call to
    the last result; median of the rounds.
enqueue_per_s: the same as far as the answer that the task is taken (ours: that it is in the log).
bulk_per_s: one call for all of them: our `map`, and a peer's own way where it has one.
round_trip_ms: one task at a time, from the call to its result.
memory_mib: resident memory of all processes of the mesh (a peer's: broker and workers), the client not counted.

--peers measures Celery, Dramatiq, Taskiq, arq, Huey, Dask and Ray (tasks, actors) in the same run with the same task,
each in an environment of its own that is made once (benchmarks/peers). Of ours nothing runs meanwhile; samples of ours
are taken before, between and after them. `ratio_to_best_peer` is how many times better ours is than the best of them in
each figure, so below 1 is worse. Peers that could not be measured are in `peers_missing` with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.own_mesh import Sample, Sizes, sample  # noqa: E402
from benchmarks.peers.comparison import RATIOS, Figures, compare, figures_of  # noqa: E402


def main() -> None:
    arguments = _parse(sys.argv[1:])
    sizes = Sizes(arguments.tasks, arguments.rounds, arguments.window, arguments.bulk, arguments.round_trips)

    def measure(durability: str) -> Sample:
        return uvloop.run(sample(durability, sizes))

    measured: dict[str, Any]
    if arguments.peers:
        measured = compare(measure, only=set(filter(None, arguments.only.split(","))))
    else:
        measured = {
            "ours": figures_of([measure(arguments.durability)]),
            "durability": arguments.durability,
        }
    measured |= {"machine": _machine(), "commit": _commit()}
    if arguments.json:
        print(json.dumps(measured))
    else:
        _tell(measured)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20_000, help="for each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--window", type=int, default=1_000, help="tasks submitted and not yet ended, at most"
    )
    parser.add_argument("--bulk", type=int, default=200_000, help="tasks of the one call of `map`")
    parser.add_argument("--round-trips", type=int, default=2_000)
    parser.add_argument("--durability", choices=["interval", "fsync"], default="interval")
    parser.add_argument("--peers", action="store_true", help="beside others; some six minutes")
    parser.add_argument("--only", default="", help="of the peers these, by name, with commas between them")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


def _tell(measured: dict[str, Any]) -> None:
    print(f"{measured['machine']}; commit {measured['commit']}")
    if "peers" in measured:
        _tell_comparison(measured)
        return
    ours: Figures = measured["ours"]
    print(f"{ours['submit_per_s']:,} tasks/s, one by one, durability {measured['durability']}")
    print(f"{ours['enqueue_per_s']:,} tasks/s acknowledged; {ours['bulk_per_s']:,} tasks/s by map")
    print("round trip p50 {p50:.2f} ms, p99 {p99:.2f} ms".format(**ours["round_trip_ms"]))
    print(f"{ours['memory_mib']:.0f} MiB for the whole mesh")


def _tell_comparison(measured: dict[str, Any]) -> None:
    _row("", "one by one/s", "enqueued/s", "bulk/s", "p50 ms", "p99 ms", "MiB")
    _figures("ohmesh (interval)", measured["ours"])
    _figures("ohmesh (fsync)", measured["ours_fsync"])
    for name, figures in measured["peers"].items():
        _figures(f"{name} {figures['version']}", figures)
    for name, reason in measured["peers_missing"].items():
        print(f"{name}: not measured: {reason}")
    _row("ours : best", *(measured["ratio_to_best_peer"].get(name, "-") for name in RATIOS))


def _figures(name: str, figures: Figures) -> None:
    rates = [figures[key] for key in ("submit_per_s", "enqueue_per_s", "bulk_per_s")]
    shown = ["-" if rate is None else f"{rate:,}" for rate in rates]
    trips = figures["round_trip_ms"]
    _row(name, *shown, f"{trips['p50']:.2f}", f"{trips['p99']:.2f}", f"{figures['memory_mib']:.0f}")


def _row(name: str, *cells: object) -> None:
    print(f"{name:24}" + "".join(f"{cell!s:>13}" for cell in cells))


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {load:.1f}"
    )


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
