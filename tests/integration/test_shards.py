"""Several shards on several nodes, as processes: fair shares, a node killed, one that joins, one that leaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ohmesh import Mesh
from ohmesh.model.subject import shard_of
from tests.integration.running_mesh import Program, RunningMesh, running_mesh
from tests.waiting import wait_until

SHARDS = 4
KINDS = ("video", "audio", "echo", "text")
AGENTS = "from ohmesh import agent\n" + "".join(
    f'\n@agent(kind="{kind}", retries=10)\nasync def {kind}(number: int) -> int:\n    return number\n'
    for kind in KINDS
)


def test_four_shards_on_nodes_that_are_killed_join_and_leave(tmp_path: Path) -> None:
    assert sorted(shard_of(kind, SHARDS) for kind in KINDS) == list(range(SHARDS))
    with running_mesh(tmp_path) as mesh:
        (mesh.folder / "many.py").write_text(AGENTS)
        up = mesh.up("--shards", str(SHARDS), "--workers", "0")
        worker = mesh.begin("worker", "many", "--name", "one", "--data", str(mesh.data))
        worker.wait_ready()
        wait_until(lambda: shares(mesh) == [2, 2], what=f"both nodes have two shards: {up.said}")

        with Mesh.connect(data=str(mesh.data)) as python:
            handles = [python.submit(kind, number) for number in range(50) for kind in KINDS]
            killed = up.child("ohmesh", "node-1")
            killed.kill()
            handles += [python.submit(kind, number) for number in range(50, 60) for kind in KINDS]
            results = [handle.result(timeout=60) for handle in handles]
            assert results == [number for number in range(60) for _ in KINDS]

            third = begin_node(mesh, "node-3")
            wait_until(lambda: shares(mesh) == [1, 1, 2], what=f"three nodes share: {up.said} {third.said}")
            name = third.wait_ready()["name"]
            assert name in owners(mesh).values()
            handles = [python.submit(kind, number) for number in range(60, 70) for kind in KINDS]
            third.terminate()
            assert third.exit_code() == 0, third.said
            wait_until(lambda: shares(mesh) == [2, 2], what=f"what it had is the others': {up.said}")
            assert [handle.result(timeout=60) for handle in handles] == [
                n for n in range(60, 70) for _ in KINDS
            ]

        see_the_whole_mesh(mesh, tasks=70 * len(KINDS))


def begin_node(mesh: RunningMesh, name: str) -> Program:
    return mesh.begin("node", "--name", name, "--data", str(mesh.data))


def owners(mesh: RunningMesh) -> dict[int, str]:
    return {shard["shard"]: shard["owner"] for shard in mesh.ask("status")["dispatchers"]}


def shares(mesh: RunningMesh) -> list[int]:
    """How many shards each node has that has any."""
    return sorted(Counter(owners(mesh).values()).values())


def see_the_whole_mesh(mesh: RunningMesh, *, tasks: int) -> None:
    """Every verb that looks at the mesh sees all shards of it."""
    waiting = {kind: mesh.ask("submit", kind, "1", "--delay", "600")["task_id"] for kind in KINDS}
    queues = {queue["kind"]: queue["queued"] for queue in mesh.ask("queues")["queues"]}
    assert queues == dict.fromkeys(KINDS, 1)
    for task_id in waiting.values():
        assert mesh.ask("explain", task_id)["task"]["task_id"] == task_id

    seen: list[str] = []
    after = ["--limit", "150"]
    while after:
        page = mesh.ask("tasks", "list", *after)
        assert page["total"] == tasks + len(KINDS)
        seen += [task["task_id"] for task in page["tasks"]]
        after = ["--limit", "150", "--after", page["after"]] if page["after"] else []
    assert len(seen) == len(set(seen)) == tasks + len(KINDS)
    assert {*waiting.values()} <= {*seen}

    (worker,) = mesh.ask("workers")["workers"]
    assert (worker["host"], sorted(worker["kinds"])) == ("one", sorted(KINDS))
    examined = mesh.run("doctor")
    assert f"{SHARDS} shard(s), each with its dispatcher" in " ".join(examined.stdout.split()), (
        examined.stdout
    )
    wait_until(lambda: len(ended(mesh)) == tasks, what="all of it is history")
    assert {task["kind"] for task in ended(mesh)} == {*KINDS}
    events = mesh.run(
        "events", "--after", "start", "--limit", "1000", "--filter", "type=shard.epoch_started", "--json"
    )
    for shard in range(SHARDS):
        assert f'"shard":{shard}' in events.stdout.replace(" ", "")


def ended(mesh: RunningMesh) -> list[dict[str, object]]:
    tasks: list[dict[str, object]] = mesh.ask("history", "list", "--limit", "500")["tasks"]
    return tasks
