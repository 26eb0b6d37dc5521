"""Ten times the load at once: nothing is lost, nothing grows without bound, and whoever is refused may come again.

`OHMESH_SOAK=1` (or `make soak`) makes it long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.errors import Backpressure
from ohmesh.roles.client import Client, TaskRequest
from tests.integration.hand_in import request
from tests.integration.running_mesh import RunningMesh, environment, running_mesh

IS_SOAK = os.environ.get("OHMESH_SOAK") == "1"
CLIENTS = 3
TASKS_OF_A_CLIENT = 66_000 if IS_SOAK else 3_000
LARGE_OF_A_CLIENT = 60 if IS_SOAK else 3
CLIENT_S = 600.0 if IS_SOAK else 60.0
NODE_BYTES_MAX = 1_500 << 20 if IS_SOAK else 600 << 20
AGENTS = """
from ohmesh import agent

@agent(kind="small")
async def small(number: int) -> int:
    return number

@agent(kind="takes", slots=4)
def takes(text: str) -> int:
    return len(text)

@agent(kind="gives", slots=4)
def gives(size: int) -> str:
    return "y" * size
"""


def test_a_flood_from_three_clients_ends_and_memory_has_a_bound(tmp_path: Path) -> None:
    seed = int(os.environ.get("BREAKING_SEED") or secrets.randbits(32))
    sys.stdout.write(f"BREAKING_SEED={seed}\n")
    with running_mesh(tmp_path) as mesh:
        (tmp_path / "busy.py").write_text(AGENTS)
        up = mesh.up("--workers", "0")
        mesh.begin("worker", "busy", "--data", str(mesh.data)).wait_ready()
        clients = [start_client(mesh, seed + number) for number in range(CLIENTS)]
        heaviest = watch(up.children(), clients)
        sys.stdout.write(f"at most {heaviest >> 20} MiB in one process\n")
        for client in clients:
            said, problems = client.communicate(timeout=CLIENT_S)
            assert client.returncode == 0, problems
            counts = json.loads(said)
            assert counts == {"succeeded": TASKS_OF_A_CLIENT + 2 * LARGE_OF_A_CLIENT}, problems
        assert heaviest < NODE_BYTES_MAX, f"{heaviest >> 20} MiB"
        assert "Traceback" not in "".join(program.said for program in mesh.programs)


def start_client(mesh: RunningMesh, seed: int) -> subprocess.Popen[str]:
    """A program of its own that hands in everything at once."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.test_breaking_load", str(mesh.data), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment() | ({"OHMESH_SOAK": "1"} if IS_SOAK else {}),
    )


def watch(processes: list[psutil.Process], clients: list[subprocess.Popen[str]]) -> int:
    """The most memory that one process had until the clients ended, in bytes. What they say fits into their pipes."""
    heaviest = 0
    for client in clients:
        while client.poll() is None:
            heaviest = max(heaviest, *(process.memory_info().rss for process in processes))
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(timeout=0.1)
    return heaviest


async def flood(data: str, seed: int) -> Counter[str]:
    """Small ones as fast as they go, large arguments and large results among them; refused ones come again."""
    rng = random.Random(seed)
    async with connect_client(load_settings({"mesh.data": data})) as client:
        large = [request(client, "takes", "x" * 400_000) for _ in range(LARGE_OF_A_CLIENT)]
        large += [request(client, "gives", 500_000) for _ in range(LARGE_OF_A_CLIENT)]
        requests = [request(client, "small", number) for number in range(TASKS_OF_A_CLIENT)] + large
        rng.shuffle(requests)
        return Counter(await asyncio.gather(*(end_of(client, each) for each in requests)))


async def end_of(client: Client, wanted: TaskRequest) -> str:
    while True:
        try:
            handle = await client.submit(wanted)
        except Backpressure:
            continue  # `submit` has waited as long as it was told to
        return str((await handle.end()).state)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(sys.argv[1], int(sys.argv[2])))))  # noqa: T201 -- for the test that started us
