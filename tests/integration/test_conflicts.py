"""Every type of conflict in a mesh of real processes, from the fault that is stated to the verdict in the log."""

from __future__ import annotations

from pathlib import Path

from ohmesh import Mesh
from tests.integration.running_mesh import running_mesh
from tests.waiting import wait_until

FAULTS = "contradicting=0.004, drifting=0.004, incapable=0.004, corrupt=0.004"
OPTIONS = (
    "--workers",
    "0",
    "--agents",
    "300",
    "--fleet-hosts",
    "1",
    "--nodes",
    "1",
    "--no-api",
    "--faults",
    FAULTS,
)
SETTLED = {
    "data_contradiction": "provenance_trace",
    "temporal_paradox": "clock_reconciliation",
    "capability_mismatch": "reroute_and_remap",
    "hash_mismatch": "reload_known_good",
    "context_divergence": "branch_and_reconcile",
}


def test_each_type_is_settled_by_its_method_and_all_are_well_again(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as running:
        running.up(*OPTIONS)
        with Mesh.connect(data=str(running.data)) as mesh:

            def are_settled(kinds: int) -> bool:
                page = mesh.conflicts(ended=True)
                return page.open == 0 and len({one.type for one in page.conflicts}) == kinds

            assert mesh.set_context({"goal": "ship"}).ready == 300
            assert mesh.broadcast("work", filter="not class=human", require_ack=True).conflict > 0
            assert mesh.verify_context().conflict == 1
            wait_until(lambda: are_settled(4), what="four types are settled")
            mesh.set_context({"goal": "sail"}, branch="canary", scope="s000.c01")
            assert mesh.set_context({"pace": "2"}).conflict == 30
            wait_until(lambda: are_settled(5), what="the context that went apart is merged")
            assert {one.type: one.by for one in mesh.conflicts(ended=True).conflicts} == SETTLED
            assert mesh.fleet_context().entries == {"goal": "sail", "pace": "2"}
            assert mesh.verify_context().ready == mesh.fleet().active == 300
            assert mesh.verify_conflicts().is_whole
