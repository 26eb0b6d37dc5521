"""One message to 30,000 agents: how long until the last has answered, and how near to T they are ready.

    python benchmarks/fleet.py [--agents 30000] [--hosts 2] [--cascades 50] [--timed 30] [--json]

A mesh as `ohmesh up` starts it, and processes of simulated agents (their delays are stated in docs/fleet.md) behind
real hosts, real messages, a real nats-server. The clock of each process is wrong by up to 50 ms and gains or loses 50
ppm; the mesh has to find that. Times of readiness are those of the machine's own clock, written to a file by each
process as its agents become ready; the mesh never reads it.

cascade_last_ack_ms: wave cascades for now, from the start until the last of all acks had been folded up.
broadcast_last_ack_ms: the same for a broadcast, median. naive_last_ack_ms: one NATS subscription and one message for
    each agent, in as many processes, from the first message to the last answer.
hit_rate, ready_error_ms: messages for an instant T 500 ms ahead to agents that do work (nobody of class F) and wait
    until T (hold): the part that was ready by T + 500 ms of those that were sent to, and |ready - T|. `lead` has the
    same for agents that act on receipt, whose distance from T is the spread of their own delays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]  # ships no types
import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.fleet_naive import naive_last_ack_ms  # noqa: E402
from ohmesh.assembly.connection import connect_client, connect_engine  # noqa: E402
from ohmesh.assembly.local import start_local  # noqa: E402
from ohmesh.assembly.settings import child_environment  # noqa: E402
from ohmesh.assembly.supervisor import Supervisor  # noqa: E402
from ohmesh.model.fleet_frame import (  # noqa: E402
    FleetFrame,
    decode_fleet_frame,
    encode_fleet_frame,
)
from ohmesh.model.fleet_message import ClockEcho, ClockProbe, Timing, Verb  # noqa: E402
from ohmesh.model.fleet_reading import FleetDescription  # noqa: E402
from ohmesh.model.fleet_request import DescribeFleet, GetOperation, OperationView, StartOperation  # noqa: E402
from ohmesh.model.frame import FRAME_VERSION  # noqa: E402
from ohmesh.model.subject import FleetPart, Subjects  # noqa: E402
from ohmesh.ports.bus import Message  # noqa: E402
from ohmesh.roles.client import Client  # noqa: E402

WINDOW_MS = 500.0
SKEWS_MS = (50.0, -50.0, 30.0, -30.0)
DRIFTS_PPM = (50.0, -50.0)
SECTOR = 300
HEAD = 48
WARM_UP = 3
HARNESS = "harness"
EXCHANGES = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=30_000)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--cascades", type=int, default=50)
    parser.add_argument("--timed", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = uvloop.run(_measure(arguments))
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24} {value}")


async def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    sectors = max(1, -(-arguments.agents // SECTOR))
    settings = {"fleet.enabled": True, "fleet.sectors": sectors}
    with tempfile.TemporaryDirectory(prefix="ohmesh-fleet-") as folder:
        async with (
            start_local([], workers=0, settings=settings) as mesh,
            connect_client(mesh.config) as client,
            _hosts(mesh, arguments, Path(folder)) as processes,
        ):
            ready_s = await _until_whole(client, arguments.agents)
            await asyncio.sleep(3.0)  # clocks are compared while a fleet is idle, as they are in life
            cpu = _spent(processes)
            begun_s = time.perf_counter()
            untimed = await _untimed(client, arguments)
            timed = await _timed(mesh, client, arguments.timed, Timing.HOLD, Path(folder))
            lead = await _timed(mesh, client, max(3, arguments.timed // 5), Timing.LEAD, Path(folder))
            took_s = time.perf_counter() - begun_s
            usage = {
                "cores": round((_spent(processes) - cpu) / took_s, 2),
                "memory_mib": round(sum(each.memory_info().rss for each in processes) / 2**20),
            }
            naive_ms = await naive_last_ack_ms(mesh, arguments.agents, arguments.hosts)
    acks = untimed.pop("acks")
    return {
        "agents": arguments.agents,
        "hosts": arguments.hosts,
        "ready_s": round(ready_s, 2),
        **untimed,
        **timed,
        "lead": lead,
        "naive_last_ack_ms": naive_ms,
        "acks": acks,
        **usage,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
    }


@asynccontextmanager
async def _hosts(
    mesh: Supervisor, arguments: argparse.Namespace, folder: Path
) -> AsyncIterator[list[psutil.Process]]:
    """Processes of simulated agents, their clocks wrong; they end with us."""
    environment = child_environment(mesh.config) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    sectors = -(-arguments.agents // SECTOR)
    cuts = [sectors * number // arguments.hosts * SECTOR for number in range(arguments.hosts)]
    started = []
    for number, (first, end) in enumerate(zip(cuts, [*cuts[1:], arguments.agents], strict=True)):
        words = ["--name", f"fleet-{number}", "--first", str(first), "--count", str(end - first)]
        words += ["--skew-ms", str(SKEWS_MS[number % 4]), "--drift-ppm", str(DRIFTS_PPM[number % 2])]
        words += ["--witness", str(folder / f"{number}.witness")]
        command = [sys.executable, "-m", "ohmesh", "fleet-host", *words]
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))  # noqa: ASYNC220
    ours = [*psutil.Process().children(recursive=True)]
    try:
        yield ours
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


async def _until_whole(client: Client, agents: int) -> float:
    begun_s = time.perf_counter()
    while True:
        description = await client.fleet.ask(DescribeFleet(), FleetDescription, timeout_s=60)
        if description.active == agents:
            return time.perf_counter() - begun_s
        await asyncio.sleep(0.05)


async def _untimed(client: Client, arguments: argparse.Namespace) -> dict[str, Any]:
    for _ in range(WARM_UP):
        await _heard_ms(client, strategy="wave")
    cascades = [await _heard_ms(client, strategy="wave") for _ in range(arguments.cascades)]
    broadcasts = [await _heard_ms(client, rate=1.0) for _ in range(max(10, arguments.cascades // 2))]
    count = len(cascades) + len(broadcasts)
    return {
        "cascade_last_ack_ms": _quantiles(cascades, (50, 95, 99)),
        "broadcast_last_ack_ms": round(statistics.median(broadcasts), 1),
        "broadcast_last_ack_p95_ms": _quantiles(broadcasts, (95,))["p95"],
        "messages_per_s": round(2 * arguments.agents / statistics.median(broadcasts) * 1000),
        "acks": count * arguments.agents,
    }


async def _heard_ms(client: Client, **how: Any) -> float:
    """From the start until every agent had been heard."""
    request = StartOperation(operation=client.fleet.new_id(), what="broadcast", **how)
    view = await client.fleet.ask(request, OperationView)
    while view.ready < view.targets:
        await asyncio.sleep(0.02)
        view = await client.fleet.ask(GetOperation(request.operation), OperationView)
    return view.heard_ms


async def _timed(
    mesh: Supervisor, client: Client, count: int, timing: Timing, folder: Path
) -> dict[str, Any]:
    offset_us = await _offset_us(mesh)
    views = []
    for _ in range(count):
        request = StartOperation(
            operation=client.fleet.new_id(),
            what="act",
            verb=Verb.ACT,
            timing=timing,
            window_ms=WINDOW_MS,
            where="not class=F",
            rate=1.0,
        )
        views.append(await client.fleet.ask(request, OperationView))
    await asyncio.sleep(0.5)  # the processes write what they witnessed
    ready = _witnessed(folder)
    errors_ms, hits, sent = [], 0, 0
    for view in views:
        target_us = view.target_ms * 1000 - offset_us
        offsets_ms = (ready.get(view.id, np.zeros(0)) - target_us) / 1000
        errors_ms.append(np.abs(offsets_ms))
        hits += int(np.count_nonzero(offsets_ms <= WINDOW_MS))
        sent += view.sent
    errors = np.concatenate(errors_ms)
    return {
        "hit_rate": round(hits / max(1, sent), 5),
        "ready_error_ms": _quantiles(errors.tolist(), (50, 90, 99)),
        "sent": sent,
    }


async def _offset_us(mesh: Supervisor) -> float:
    """Mesh time minus this machine's clock, by the quickest of some exchanges: half of its trip is the error."""
    subjects, best = Subjects(mesh.config.mesh.name), (float("inf"), 0.0)
    echoes: asyncio.Queue[tuple[ClockEcho, int]] = asyncio.Queue()

    def receive(message: Message) -> None:
        for body in decode_fleet_frame(message.data).bodies:
            if isinstance(body, ClockEcho):
                echoes.put_nowait((body, _now_us()))

    async with connect_engine(mesh.config) as engine:
        await engine.bus.subscribe(subjects.fleet_process(HARNESS), receive)
        for _ in range(EXCHANGES):
            frame = FleetFrame(FRAME_VERSION, HARNESS, 0, 0, [ClockProbe(_now_us(), 1)])
            await engine.bus.publish(subjects.orchestrator(FleetPart.HEARTBEATS), encode_fleet_frame(frame))
            echo, heard_us = await echoes.get()
            trip_us = heard_us - echo.sent_us - (echo.answered_us - echo.received_us)
            middle = (echo.received_us + echo.answered_us) / 2 - (echo.sent_us + heard_us) / 2
            best = min(best, (trip_us, middle))
    return best[1]


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _witnessed(folder: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Operation -> the times, in microseconds of this machine's clock, when each of its agents was ready."""
    times: dict[str, list[np.ndarray[Any, np.dtype[np.float64]]]] = {}
    for path in folder.glob("*.witness"):
        data, at = path.read_bytes(), 0
        while at + HEAD <= len(data):
            at_us, count = np.frombuffer(data, np.int64, 2, at + 32)
            name = data[at : at + 32].decode().strip()
            times.setdefault(name, []).append(np.full(int(count), float(at_us)))
            at += HEAD + 4 * int(count)
    return {name: np.concatenate(parts) for name, parts in times.items()}


def _quantiles(values: list[float], percents: tuple[int, ...]) -> dict[str, float]:
    found = np.percentile(values, percents)
    return {f"p{percent}": round(float(value), 2) for percent, value in zip(percents, found, strict=True)}


def _spent(processes: list[psutil.Process]) -> float:
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))


if __name__ == "__main__":
    main()
