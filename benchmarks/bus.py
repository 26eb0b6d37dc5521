"""How much does the bus carry between two processes, of messages and of columns?

    python benchmarks/bus.py [--rounds 5] [--seconds 1] [--json]

A sender and a receiver on a real nats-server, the embedded one with its key, as a mesh has it. The sender makes and
encodes, the receiver decodes, checks (time to live, hash of the payload, lengths and ranges of columns), writes columns
into a fleet of 30,000 and counts; both are in the figures, from the first frame made to the last one known to be
understood.

structured_per_s: orders of 300 bytes, 100 in a frame. columnar_rows_per_s: rows of heartbeats and acks, in turns, of
whole sectors, 300 rows in a body and 4 bodies in a frame; columnar_cluster_rows_per_s: the same of clusters, 30 rows in
a body and 10 bodies in a frame. `..._sealed_...`: the same, each frame with its AES-GCM tag. Each is the median of its
rounds. `..._cpu_us`: processor time for one of them, in the sender, the server and the receiver; unlike rates, it
hardly depends on what else the machine does. `..._seal_cpu_percent`: how much of it the tags add.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.bus_ends import Round, receive, send  # noqa: E402
from benchmarks.bus_loads import LOADS  # noqa: E402
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer  # noqa: E402

GOALS = {"structured_per_s": 400_000, "columnar_rows_per_s": 1_000_000}
KEYS = {
    "structured": "structured_per_s",
    "structured_sealed": "structured_sealed_per_s",
    "columnar": "columnar_rows_per_s",
    "columnar_sealed": "columnar_sealed_rows_per_s",
    "columnar_clusters": "columnar_cluster_rows_per_s",
}
PATIENCE_S = 60.0


async def measure(rounds: int, seconds: float) -> list[Round]:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(EmbeddedConfig(Path(folder)))
        await server.start()
        try:
            return await asyncio.to_thread(_between_two_processes, server, rounds, seconds)
        finally:
            await server.stop()


def _between_two_processes(server: EmbeddedServer, rounds: int, seconds: float) -> list[Round]:
    context = multiprocessing.get_context("spawn")
    plan = [(load, seconds) for _ in range(rounds) for load in LOADS]
    plan = [(load, seconds / 4) for load in LOADS] + plan  # the first ones warm up
    ours, theirs = context.Pipe()
    receiver = context.Process(target=receive, args=(server.url, str(server.seed_file), theirs), daemon=True)
    receiver.start()
    try:
        _wait(ours, receiver)  # it has subscribed
        others = (server.pid, receiver.pid or 0)
        sender = context.Process(target=send, args=(server.url, str(server.seed_file), others, plan, theirs))
        sender.start()
        found = _wait(ours, receiver, sender)
        sender.join()
        return found[len(LOADS) :]
    finally:
        receiver.terminate()
        receiver.join()


def _wait(ours: Connection, *processes: BaseProcess) -> list[Round]:
    deadline = time.monotonic() + PATIENCE_S
    while not ours.poll(0.1):
        if time.monotonic() > deadline or any(one.exitcode not in (None, 0) for one in processes):
            raise SystemExit("a process of the benchmark failed or hangs; what it said stands above")
    answer: list[Round] = ours.recv()
    return answer


def summarise(rounds: list[Round]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for load, key in KEYS.items():
        of_load = [one for one in rounds if one.load == load]
        result[key] = round(statistics.median(one.counted / one.seconds for one in of_load))
        result[f"{load}_cpu_us"] = [
            round(statistics.median(one.cpu_s[part] / one.counted for one in of_load) * 1e6, 3)
            for part in range(3)
        ]
        result[f"{load}_rounds_per_s"] = [round(one.counted / one.seconds) for one in of_load]
    for load in ("structured", "columnar"):
        plain, with_tag = (sum(cost) for cost in (result[f"{load}_cpu_us"], result[f"{load}_sealed_cpu_us"]))
        result[f"{load}_seal_cpu_percent"] = round(100 * (with_tag / plain - 1), 1)
    result["frames"] = sum(one.frames for one in rounds)
    result["bytes"] = sum(one.bytes for one in rounds)
    result["seconds"] = round(sum(one.seconds for one in rounds), 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round of each load")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    result = summarise(asyncio.run(measure(given.rounds, given.seconds)))
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    result["commit"] = asked.stdout.strip() or "unknown"
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if given.json:
        print(json.dumps(result))
        return
    for load, key in KEYS.items():
        goal = f"; the goal is {GOALS[key]:,}" if key in GOALS else ""
        print(f"{result[key]:>12,} {LOADS[load].counted} a second{goal}")
        print(f"{'':>12} processor time of one, sender, server, receiver: {result[f'{load}_cpu_us']} us")
    print(
        f"{result['frames']:,} frames, {result['bytes']:,} bytes, {result['seconds']} s; {result['machine']}"
    )


if __name__ == "__main__":
    main()
