"""Many small tasks by one call, through a real mesh: each has its id, its result, its retries; none runs in vain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ohmesh import Mesh
from ohmesh.errors import TaskCancelled
from tests.integration.running_mesh import Program, RunningMesh, running_mesh
from tests.waiting import wait_until

ITEMS = 20_000
AGENTS = """
import os
from ohmesh import Permanent, agent

@agent
def tally(item: list) -> int:
    number, path = item
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{number}\\n".encode())
    os.close(file)
    return number

@agent
def halve(number: int) -> float:
    return number / 2

@agent
def pick(number: int) -> int:
    if number % 10 == 0:
        raise Permanent(f"{number} is round")
    return number
"""


def _begin(mesh: RunningMesh, *workers: str) -> list[Program]:
    (mesh.folder / "batched.py").write_text(AGENTS)
    (mesh.folder / "ohmesh.toml").write_text("[executor]\nheartbeat_ms = 500\nlease_ms = 2000\n")
    mesh.up("--workers", "0")
    return [_worker(mesh, name) for name in workers]


def _worker(mesh: RunningMesh, name: str) -> Program:
    program = mesh.begin("worker", "batched", "--data", str(mesh.data), "--name", name, "--concurrency", "2")
    program.wait_ready()
    return program


def test_a_worker_that_dies_in_a_batch_costs_only_what_it_had_not_finished(tmp_path: Path) -> None:
    """Every item has its value, and what ran twice is no more than what the dead worker held."""
    ran = tmp_path / "ran"
    with running_mesh(tmp_path) as mesh:
        victim, _ = _begin(mesh, "mine", "other")
        with Mesh.connect(data=str(mesh.data)) as python:
            mapped = python.map("tally", [[number, str(ran)] for number in range(ITEMS)])
            values = []
            for outcome in mapped:
                values.append(outcome.value)
                if len(values) == ITEMS // 4:
                    victim.kill()
            assert values == list(range(ITEMS))
        executions = Counter(ran.read_text().split())
        assert set(executions) == {str(number) for number in range(ITEMS)}
        again = sum(executions.values()) - ITEMS
        assert again <= 5_000, f"{again} items ran again"


def test_an_item_of_a_batch_is_a_task_like_any_other(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        _begin(mesh, "mine")
        with Mesh.connect(data=str(mesh.data)) as python:
            ids = python.submit_many("halve", range(300))
            assert len(set(ids)) == 300
            assert python.result(ids[299], timeout=30) == 149.5
            assert python.get(ids[298]).state == "succeeded"
            assert {task.task_id for task in python.tasks(limit=500).tasks} == set(ids)
            assert mesh.ask("result", ids[100])["value"] == 50

            odd = python.map("pick", range(200)).result()
            assert (odd.succeeded, odd.failed) == (180, 20)
            assert [one.value for one in odd.outcomes[:10]] == [None, *range(1, 10)]
            dead = mesh.ask("dlq", "list", "--kind", "pick")["tasks"]
            assert {letter["task_id"] for letter in dead} == {
                one.task_id for one in odd.outcomes if one.failure
            }


def test_items_that_wait_can_be_cancelled_one_by_one(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        _begin(mesh)
        with Mesh.connect(data=str(mesh.data)) as python:
            ids = python.submit_many("halve", range(300))
            assert set(python.cancel(ids[299], ids[0]).cancelled) == {ids[299], ids[0]}
            _worker(mesh, "late")
            assert [python.result(one, timeout=30) for one in ids[297:299]] == [148.5, 149]
            with pytest.raises(TaskCancelled):
                python.result(ids[299], timeout=30)
            wait_until(lambda: not python.queues().queues[0].queued, what="the rest is done")
