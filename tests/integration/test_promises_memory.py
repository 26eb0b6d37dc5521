"""What a mesh holds has a bound: after a while, more work does not make its processes any larger.

`OHMESH_SOAK=1` (or `make soak`) makes it 300,000 tasks.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.roles.client import Client
from tests.integration.hand_in import hand_in, request, states
from tests.integration.running_mesh import Program, running_mesh

IS_SOAK = os.environ.get("OHMESH_SOAK") == "1"
WARM_UP = (
    30_000 if IS_SOAK else 10_000
)  # snapshots have been taken by then, and buffers have found their size
TASKS = 300_000 if IS_SOAK else 8_000
BURST = 1_000
TEXT = "x" * 4_000
GROWTH_BYTES_MAX = 32 << 20  # what goes through is twice as much, and eighty times in the long test
# Bounds that are reached while one watches.
SETTINGS = """
[dispatcher.shard]
retained_tasks = 500
horizon_tasks = 1000
"""
AGENTS = """
from ohmesh import agent

@agent(kind="give-back")
async def give_back(text: str) -> str:
    return text
"""


def test_a_mesh_does_not_grow_with_the_work_that_it_has_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connect_client(load_settings({"mesh.data": str(mesh.data)})) as client:
            await work(client, WARM_UP)
            before = sizes(up, worker)
            await work(client, TASKS)
            after = sizes(up, worker)
        grown = {name: (after[name] - before[name]) >> 20 for name in before}
        sys.stdout.write(f"MiB more after {TASKS} tasks: {grown}\n")
        assert max(after[name] - before[name] for name in before) < GROWTH_BYTES_MAX, grown

    with running_mesh(tmp_path) as mesh:
        (tmp_path / "ohmesh.toml").write_text(SETTINGS)
        (tmp_path / "giving.py").write_text(AGENTS)
        up = mesh.up("--workers", "0")
        worker = mesh.begin("worker", "giving", "--data", str(mesh.data))
        worker.wait_ready()
        asyncio.run(scenario())


async def work(client: Client, tasks: int) -> None:
    for _ in range(tasks // BURST):
        handed_in = await hand_in(client, [request(client, "give-back", TEXT)] * BURST)
        assert not handed_in.errors
        assert await states(handed_in.handles) == {"succeeded": BURST}


def sizes(up: Program, worker: Program) -> dict[str, int]:
    """Resident bytes of every process of ours, the engine's left out: it caches what it wrote."""
    processes = [*up.children(), worker.process, *worker.children()]
    return {
        f"{process.pid} {' '.join(process.cmdline()[-3:])}": resident(process)
        for process in processes
        if "nats-server" not in process.name()
    }


def resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
