"""The data directory of a running mesh is deleted, damaged, or taken from under its workers."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from tests.integration.hand_in import hand_in, request, states
from tests.integration.running_mesh import RunningMesh, running_mesh
from tests.waiting import wait_until

TASKS = 50
SAID_LINES = 80


def do_work(mesh: RunningMesh) -> None:
    """Hand tasks in and see them all succeed."""

    async def scenario() -> None:
        async with connect_client(load_settings({"mesh.data": str(mesh.data)})) as client:
            handed_in = await hand_in(client, [request(client, "nap", n, 0.001) for n in range(TASKS)])
            assert not handed_in.errors
            assert await states(handed_in.handles) == {"succeeded": TASKS}

    asyncio.run(scenario())


def test_a_mesh_begun_anew_on_empty_data_gets_its_old_workers_back(tmp_path: Path) -> None:
    """They remember epochs and leases of a history that is gone."""
    with running_mesh(tmp_path) as mesh:
        for _ in range(2):  # the second start has higher terms than a first one
            first = mesh.up("--workers", "0")
            if len(mesh.programs) == 1:
                mesh.worker("--name", "mine")
            do_work(mesh)
            first.interrupt()
            assert first.exit_code() == 0, first.said
        shutil.rmtree(mesh.data)
        again = mesh.up("--workers", "0")
        do_work(mesh)
        assert "Traceback" not in again.said


def test_a_runtime_file_that_is_damaged_is_named_and_written_again(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.worker("--name", "mine")
        (mesh.data / "runtime.json").write_text('{"mesh": "def')
        wait_until(lambda: mesh.run("status").returncode == 0, what="it is whole again")
        do_work(mesh)


def test_data_that_are_deleted_under_a_running_mesh_end_it_with_a_word(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        up = mesh.up("--workers", "0")
        worker = mesh.worker("--name", "mine")
        shutil.rmtree(mesh.data)
        assert up.exit_code() == 1, up.said
        assert "was removed while the mesh was running" in up.said
        assert "Traceback" not in up.said
        assert len(up.said.splitlines()) < SAID_LINES, up.said
        mesh.up("--workers", "0")
        do_work(mesh)
        assert worker.process.is_running()
