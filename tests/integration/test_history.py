"""History as people ask for it: of a mesh whose ledger is a real PostgreSQL, which is killed meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmesh import Mesh
from tests.contract.ledger.postgresql_server import PASSWORD, PostgresqlServer
from tests.integration.running_mesh import RunningMesh, ohmesh, running_mesh
from tests.waiting import wait_until

CATCHES_UP_S = 60.0


@pytest.fixture
def postgresql() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def submitted(mesh: RunningMesh, count: int) -> set[str]:
    """Tasks that have succeeded, by id."""
    with Mesh.connect(data=str(mesh.data)) as python:
        handles = [python.submit("text", f"Sentence {number} is fine.") for number in range(count)]
        for handle in handles:
            handle.result(timeout=60)
    return {handle.id for handle in handles}


def in_history(mesh: RunningMesh, task_ids: set[str]) -> bool:
    ran = mesh.run("history", "--kind", "text", "--since", "1h", "--json")
    return ran.returncode == 0 and {task["task_id"] for task in json.loads(ran.stdout)["tasks"]} == task_ids


def history_finding(mesh: RunningMesh) -> dict[str, str]:
    found = json.loads(mesh.run("doctor", "--json").stdout)["findings"]
    (finding,) = (one for one in found if one["subject"] == "history")
    return {str(name): str(value) for name, value in finding.items()}


def test_history_outlives_the_death_of_its_database_and_no_task_waits_for_it(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    url = postgresql.url(postgresql.new_database())
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--ledger", url)
        first = submitted(mesh, 5)
        wait_until(lambda: in_history(mesh, first), what="history has them", timeout_s=CATCHES_UP_S)
        assert "/ledger_1 answers" in history_finding(mesh)["text"]
        events = mesh.ask("history", "events", "--kind", "host_joined")["events"]
        assert {event["subject"] for event in events} == {"worker-1"}
        with Mesh.connect(data=str(mesh.data)) as python:
            assert {task.task_id for task in python.history(worker="worker-1", since="1h")} == first

        postgresql.kill()
        meanwhile = submitted(mesh, 5)
        refused = mesh.run("history", "--json")
        assert refused.returncode == 6, refused.stdout + refused.stderr
        assert json.loads(refused.stdout)["error"]["code"] == "engine_unavailable"
        assert history_finding(mesh)["weight"] == "problem"

        postgresql.start()
        wait_until(
            lambda: in_history(mesh, first | meanwhile), what="history catches up", timeout_s=CATCHES_UP_S
        )
        said = program.said
        assert "History of" in said
        assert PASSWORD not in said + refused.stdout + refused.stderr


def test_a_mesh_runs_while_its_ledger_is_not_there_and_history_says_why(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up("--ledger", f"sqlite:///{tmp_path}/missing/ledger.db")
        done = submitted(mesh, 3)
        wait_until(lambda: "The ledger cannot be opened" in program.said, what="it is said")
        refused = mesh.run("history")
        assert refused.returncode == 6, refused.stderr
        assert "missing does not exist" in refused.stderr
        (tmp_path / "missing").mkdir()
        wait_until(lambda: in_history(mesh, done), what="history catches up", timeout_s=CATCHES_UP_S)


@pytest.mark.parametrize(
    "url",
    [f"mysql://root:{PASSWORD}@host/ledger", f"postgresql://root:{PASSWORD}@a@host/ledger", "ledger.db"],
)
def test_a_ledger_that_cannot_be_meant_refuses_the_start(tmp_path: Path, url: str) -> None:
    ran = ohmesh("up", "--data", str(tmp_path / "data"), "--ledger", url, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("error: ")
    assert "postgresql://user" in ran.stderr or "Percent-encode" in ran.stderr
    assert PASSWORD not in ran.stderr
