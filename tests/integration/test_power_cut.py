"""Power cuts on a disk of our own: what `fsync` promises of nats-server, and what a mesh does that lost its tail.

benchmarks/power_cut.py says how it is done; where no loop device can be mounted, these are skipped with its reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.power_cut import Disk, why_not
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.engines.nats.server_config import Durability
from tests.contract.nats_faults import engine_on, kill_server, own_server, stop_server
from tests.integration.running_mesh import environment

ROOT = Path(__file__).resolve().parents[2]
IS_SOAK = os.environ.get("OHMESH_SOAK") == "1"
ENTRIES = 200
COMMAND_S = 100


@pytest.fixture(scope="module", autouse=True)
def _loop_device() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_what_a_server_that_syncs_acknowledged_is_there_after_a_power_cut(tmp_path: Path) -> None:
    async def fill(engine: NatsEngine) -> None:
        await engine.log.create("log")
        for number in range(ENTRIES):
            await engine.log.append("log", b"%d" % number, expected=number)

    async def scenario() -> list[bytes]:
        disk = Disk(tmp_path, tmp_path / "data" / "store")
        disk.make()
        try:
            async with own_server(tmp_path / "data", Durability.FSYNC) as server, engine_on(server) as engine:
                await fill(engine)
                await stop_server(server)
                disk.copy()
                await kill_server(server)
            disk.swap()
            async with own_server(tmp_path / "data", Durability.FSYNC) as server, engine_on(server) as engine:
                return [entry.data for entry in await engine.log.read("log", first=1, limit=ENTRIES + 1)]
        finally:
            disk.unmount()

    assert asyncio.run(scenario()) == [b"%d" % number for number in range(ENTRIES)]


CUTS = ["interval engine", "fsync machine", "interval machine", "fsync engine"]


@pytest.mark.skipif(not IS_SOAK, reason="a whole mesh for each cut: make soak")
@pytest.mark.parametrize("case", CUTS)
def test_a_mesh_goes_on_after_a_power_cut_and_says_what_it_lost(case: str) -> None:
    """Of a mesh that has just been made: its streams are on the disk as soon as `up` says that it is ready."""
    durability, cut = case.split()
    command = [
        "benchmarks/power_cut.py",
        "--seconds",
        "2",
        "--durability",
        durability,
        "--cut",
        cut,
        "--json",
    ]
    ran = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=COMMAND_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (outcome,) = json.loads(ran.stdout)["outcomes"]
    sys.stdout.write(f"{outcome}\n")
    assert outcome["acknowledged"] > 0
    assert outcome["works_on"]
    assert durability == "interval" or outcome["missing"] == 0
