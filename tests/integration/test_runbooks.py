"""A sector whose coordinator is stopped (SIGSTOP) is brought back by its procedure while that process stands still."""

from __future__ import annotations

from pathlib import Path

from ohmesh import Mesh
from tests.integration.running_mesh import running_mesh
from tests.waiting import wait_until

AGENTS = 400
FIRST = 600  # rows before that are for agents with a connection of their own


def test_a_stopped_coordinator_is_replaced_and_its_agents_start_elsewhere(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0", "--nodes", "1", "--fleet")
        first, second = (
            mesh.begin(
                "fleet-host",
                *("--name", f"part-{number}", "--data", str(mesh.data)),
                *("--first", str(FIRST + 200 * number), "--count", "200"),
            )
            for number in range(2)
        )
        for host in (first, second):
            host.wait_ready()
        with Mesh.connect(data=str(mesh.data)) as client:
            wait_until(lambda: client.fleet().active == AGENTS, what="every agent on duty", timeout_s=20)
            sector = client.fleet_sectors().scopes[0]
            assert (sector.scope, sector.agents, sector.lead) == ("s002", 300, "part-0")
            first.process.suspend()
            try:
                report = client.runbook_sector("s002")
                outcomes = {one.step: one.outcome for one in report.steps}
                seen = {one.step: one.evidence for one in report.steps}
                assert outcomes["second vantage point"] == "attention", report
                assert seen["backup coordinator"].endswith("part-1 coordinates in place of part-0"), report
                assert "200 simulated agents were started in part-1" in seen["agents"], report
                assert (outcomes["breaker"], outcomes["report"]) == ("ok", "ok"), report
                assert client.ping(filter="sector=2", timeout=5).ready == 300
            finally:
                first.process.resume()
            assert client.runbook_sector("s002").outcome == "ok"
