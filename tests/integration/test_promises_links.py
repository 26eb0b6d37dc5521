"""A worker whose link to the engine is cut again and again goes on working, and never sits there connected and deaf."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from tests.contract.nats_faults import Cable
from tests.integration.hand_in import hand_in, read_log, request, states
from tests.integration.running_mesh import RunningMesh, running_mesh

CUTS = 50
TASKS_BETWEEN = 4


def begin_worker(mesh: RunningMesh, url: str) -> None:
    """The only one, and it reaches the engine by this way alone."""
    settings = mesh.folder / "by-cable.toml"
    settings.write_text(f'[engine]\nurl = "{url}"\nseed_file = "{mesh.data / "nats.seed"}"\n')
    mesh.begin("worker", "napping", "--config", str(settings), "--name", "far", "--concurrency", "1")


def test_a_worker_whose_link_is_cut_fifty_times_hears_every_task(tmp_path: Path) -> None:
    async def scenario(mesh: RunningMesh, port: int) -> None:
        config = load_settings({"mesh.data": str(mesh.data)})
        async with Cable(port) as cable, connect_client(config) as client:
            begin_worker(mesh, cable.url)
            await asyncio.to_thread(mesh.programs[-1].wait_ready)
            ids: list[str] = []
            for _ in range(CUTS):
                naps = [request(client, "nap", number, 0.005) for number in range(TASKS_BETWEEN)]
                handed_in = await hand_in(client, naps)
                cable.cut()
                cable.mend()
                assert await states(handed_in.handles) == {"succeeded": TASKS_BETWEEN}
                ids += handed_in.ids
        audit = await read_log(config)
        assert audit.lost(ids) == []
        assert audit.committed_twice() == []

    with running_mesh(tmp_path) as mesh:
        url = mesh.up("--workers", "0").wait_ready()["url"]
        asyncio.run(scenario(mesh, int(url.rpartition(":")[2])))
