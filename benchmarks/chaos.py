"""Is anything lost, or committed twice, when everything is killed and stopped at random for minutes?

    python benchmarks/chaos.py [--tasks 20000] [--seconds 300] [--seed N] [--json]

A mesh is started as `ohmesh up` does it: its own nats-server, two nodes, the HTTP door; and two workers beside it.
Clients submit through Python and HTTP over the whole time, while workers, their runners, nodes, the door and the
nats-server are killed (SIGKILL), stopped (SIGSTOP) and continued, in an order that the seed gives. Then everything is
continued, and every task must come to its end within --finish seconds.

benchmarks/chaos_judge.py, which shares no code with the queue, judges the raw logs, kept untrimmed, against what
clients and handlers wrote down. Exit code 1 when an acknowledged task is lost, one is committed twice, or one has not
ended.

    submitted           acknowledged, and those of the ambiguous ones (nobody heard an acknowledgement) that are there
    final               of them, in a final state
    lost                acknowledged, and not in a final state
    committed_twice     two accepted ends of one task in the log, or two different ends told to clients
    extra_executions    runs of handlers beyond one for each task: after kills and failures
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.chaos_clients import Clients, clients_of  # noqa: E402
from benchmarks.chaos_victims import Victims  # noqa: E402
from benchmarks.mesh_processes import MeshProcesses, free_port  # noqa: E402
from ohmesh import AsyncMesh, OhmeshError  # noqa: E402

WORKERS = 2
BETWEEN_S = 1.5
SEEN_S = 300.0
SETTINGS = {
    # The judge reads the whole log. Snapshots are taken all the same, so that successors begin from them.
    "OHMESH_DISPATCHER_SNAPSHOT_TRIM_INTERVAL_S": "1000000",
    "OHMESH_DISPATCHER_SNAPSHOT_AFTER_BYTES": "500000",
    "OHMESH_SUPERVISOR_RESPAWN_DELAY_MAX_MS": "1000",
}


def main() -> int:
    given = parse(sys.argv[1:])
    folder = Path(tempfile.mkdtemp(prefix="ohmesh-chaos-"))
    is_clean = False
    try:
        figures = asyncio.run(run(given, folder))
        is_clean = figures.pop("is_clean")
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; nothing was judged", file=sys.stderr)
        is_clean = True
        return 130
    finally:
        if is_clean and not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"evidence: {folder}", file=sys.stderr)
    if given.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:17} {value}")
    return 0 if is_clean else 1


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long tasks come and processes go")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="who is killed when")
    parser.add_argument("--finish", type=float, default=120.0, help="seconds within which all must then end")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of a run that went well too")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(words)


async def run(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The ordeal, and the judge's verdict on it. Ends every process, however it ends."""
    ordeal = asyncio.current_task()
    assert ordeal is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ordeal.cancel)
    print(f"seed {given.seed}", file=sys.stderr)
    settings = {**SETTINGS, "CHAOS_EXECUTIONS": str(folder / "executions")}
    processes = MeshProcesses(folder, settings)
    victims = Victims(processes, random.Random(given.seed))
    try:
        began = time.monotonic()
        async with opened(processes, victims, folder) as clients:
            late = await harassed(given, victims, clients)
            ended_s = time.monotonic() - began
            async with asyncio.timeout(SEEN_S):
                await clients.see_all()
            verdict = await judged(folder)
    finally:
        victims.continue_all()
        processes.end()
    for word in late + verdict.pop("words"):
        print(word, file=sys.stderr)
    is_clean = verdict.pop("is_clean") and not late
    return {
        **verdict,
        "kills": victims.kills.total(),
        "kills_of": dict(sorted(victims.kills.items())),
        "stops": victims.stops.total(),
        "stops_of": dict(sorted(victims.stops.items())),
        "seconds": given.seconds,
        "ended_s": round(ended_s, 1),
        "seed": given.seed,
        "is_clean": is_clean,
    }


@contextlib.asynccontextmanager
async def opened(processes: MeshProcesses, victims: Victims, folder: Path) -> AsyncIterator[Clients]:
    """The mesh with its workers, and clients of both of its doors."""
    processes.start("up", "up", "--workers", "0", "--api", "--api-port", str(free_port()))
    url = (await processes.ready("up"))["api"]
    token = (processes.data / "api-token").read_text().strip()
    keeping = asyncio.create_task(victims.keep_workers([("worker", "benchmarks.chaos_agents")] * WORKERS))
    limits = httpx2.Limits(max_connections=200)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            AsyncMesh.connect(data=str(processes.data)) as mesh,
            httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, limits=limits) as http,
        ):
            await joined(mesh)
            with clients_of(folder, mesh, http) as clients:
                yield clients
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def joined(mesh: AsyncMesh) -> None:
    """Until the workers can be given work."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OhmeshError):
                if len(await mesh.workers()) >= WORKERS:
                    return
            await asyncio.sleep(0.1)


async def harassed(given: argparse.Namespace, victims: Victims, clients: Clients) -> list[str]:
    """Submit, kill and stop; continue everything and wait for all ends. Returns what was not done in time."""
    between_s = min(BETWEEN_S, given.seconds / 12)
    harassing = asyncio.create_task(victims.harass(between_s))
    submitting = asyncio.create_task(clients.submit_all(given.tasks, given.seconds))
    try:
        await asyncio.wait([harassing, submitting], timeout=given.seconds)
        if harassing.done():
            await harassing
        harassing.cancel()
        victims.continue_all()
        try:
            async with asyncio.timeout(given.finish):
                await submitting
                await clients.until_all_ended()
        except TimeoutError:
            return [f"not everything had ended {given.finish:g} s after the last kill"]
        return []
    finally:
        for task in (harassing, submitting):
            task.cancel()
        await asyncio.gather(harassing, submitting, return_exceptions=True)


async def judged(folder: Path) -> dict[str, Any]:
    """By another process, which imports nothing of ours."""
    command = [sys.executable, str(ROOT / "benchmarks" / "chaos_judge.py"), "--folder", str(folder), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode not in (0, 1):
        raise SystemExit(2)
    verdict: dict[str, Any] = json.loads(said)
    return {**verdict, "is_clean": process.returncode == 0}


if __name__ == "__main__":
    sys.exit(main())
