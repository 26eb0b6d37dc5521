"""A disk that is full: everybody is told, nothing acknowledged is lost, and room alone brings the mesh back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.errors import Backpressure, MeshUnreachable
from tests.integration.hand_in import HandedIn, hand_in, read_log, request, states
from tests.integration.running_mesh import Program, RunningMesh, ohmesh, running_mesh
from tests.integration.small_disk import SmallDisk, small_disk
from tests.waiting import wait_until

TEXT_BYTES = 50_000
TASKS = 120
PATIENCE_S = 5.0
TOLD_WITHIN_S = 45.0  # nobody waits for ever; a busy machine takes its time
SAID_LINES = 60


def test_a_full_disk_loses_nothing_and_room_alone_brings_the_mesh_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, running_mesh(tmp_path) as mesh:
        mesh.data = disk.root / "mesh"
        up = mesh.up("--workers", "0")
        mesh.worker("--name", "mine")
        asyncio.run(_fill_and_free(mesh, up, disk))
        assert len(up.said.splitlines()) < SAID_LINES, up.said
        assert "Traceback" not in up.said


async def _fill_and_free(mesh: RunningMesh, up: Program, disk: SmallDisk) -> None:
    config = load_settings({"mesh.data": str(mesh.data)})
    async with connect_client(config) as client:
        texts = [request(client, "echo", "x" * TEXT_BYTES) for _ in range(TASKS)]
        before = await hand_in(client, texts[:5])
        disk.fill(leave_bytes=2 << 20)
        begun_s = time.monotonic()
        during = await hand_in(client, texts, timeout_s=PATIENCE_S)
        took_s = time.monotonic() - begun_s
        _check_told(during, took_s)
        late = await hand_in(client, texts[:5], timeout_s=1.0)
        # A dispatcher says why while it holds its lease; on a full disk that cannot be written for long either.
        assert len(late.errors) == 5, late.errors
        words = {Backpressure: "Is the disk full?", MeshUnreachable: "ohmesh doctor"}
        assert all(words[type(error)] in str(error) for error in late.errors), late.errors
        disk.free()
        after = await hand_in(client, texts[:5])
        handles = [*before.handles, *during.handles, *after.handles]
        assert await states(handles) == {"succeeded": len(handles)}
    audit = await read_log(config)
    assert audit.lost([handle.id for handle in handles]) == []
    assert audit.committed_twice() == []
    assert up.said.count("is full or fails") == 1, up.said
    assert up.said.count("there is room again") == 1, up.said


def _check_told(handed_in: HandedIn, took_s: float) -> None:
    assert handed_in.errors, "the disk was not full"
    assert took_s < TOLD_WITHIN_S
    assert {type(error) for error in handed_in.errors} <= {Backpressure, MeshUnreachable}
    assert all("ohmesh doctor" in str(error) for error in handed_in.errors)


def test_an_engine_that_dies_on_a_full_disk_comes_back_with_the_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, running_mesh(tmp_path) as mesh:
        mesh.data = disk.root / "mesh"
        up = mesh.up("--workers", "0")
        mesh.worker("--name", "mine")
        disk.fill(leave_bytes=0)
        up.child("nats-server", "-c").kill()
        wait_until(lambda: "is full or fails" in up.said, what="it is noticed")
        wait_until(lambda: "starting it again" in up.said, what="it is tried")
        disk.free()
        wait_until(lambda: mesh.run("status").returncode == 0, what="it is back")
        asyncio.run(_works(mesh))
        assert "Traceback" not in up.said
        assert len(up.said.splitlines()) < SAID_LINES, up.said


async def _works(mesh: RunningMesh) -> None:
    async with connect_client(load_settings({"mesh.data": str(mesh.data)})) as client:
        handed_in = await hand_in(client, [request(client, "echo", "x") for _ in range(20)])
        assert await states(handed_in.handles) == {"succeeded": 20}


def test_up_on_a_full_disk_says_so_in_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.fill(leave_bytes=0)
        ran = ohmesh("up", "--data", str(disk.root / "mesh"), cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    assert "No space left" in ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
