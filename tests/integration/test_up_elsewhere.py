"""A mesh on an engine that somebody else runs: a change of URL, nothing more; and two meshes that share one engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.running_mesh import ohmesh, running_mesh
from tests.waiting import wait_until


def test_a_second_mesh_on_the_same_engine_has_its_own_tasks_and_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_mesh(tmp_path / "first") as first, running_mesh(tmp_path / "second") as second:
        url = first.up().wait_ready()["url"]
        settings = (
            f'[engine]\nurl = "{url}"\nseed_file = "{first.data / "nats.seed"}"\n[mesh]\nname = "second"\n'
        )
        (second.folder / "ohmesh.toml").write_text(settings)
        program = second.up()
        answer = second.run("submit", "text", "Splendid!", "--wait", "20")
        assert answer.returncode == 0, answer.stderr
        assert first.ask("tasks")["tasks"] == []
        hosts = [worker["host"] for worker in second.ask("workers")["workers"]]
        assert len(hosts) == 1
        assert hosts[0] != "worker-1", "on a shared engine a worker is named after its machine too"
        assert second.run("down").returncode == 0
        assert program.exit_code() == 0
        assert first.run("status").returncode == 0, "the engine's owner goes on"


def test_who_joins_a_mesh_takes_its_number_of_shards_and_a_share_of_them(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_mesh(tmp_path / "first") as first, running_mesh(tmp_path / "second") as second:
        url = first.up("--shards", "3", "--nodes", "1", "--workers", "0").wait_ready()["url"]
        settings = f'[engine]\nurl = "{url}"\nseed_file = "{first.data / "nats.seed"}"\n'
        (second.folder / "ohmesh.toml").write_text(settings)
        refused = second.run("up", "--shards", "2")
        assert refused.returncode == 2
        assert "--shards 3" in refused.stderr
        second.data = second.folder / "other-data"
        second.up("--nodes", "1", "--workers", "0")

        def owners() -> set[str]:
            return {each["owner"] for each in first.ask("status")["dispatchers"]}

        wait_until(lambda: len(owners()) == 2, what="the two machines share the shards")


def test_the_wrong_key_is_refused_with_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_mesh(tmp_path / "first") as first, running_mesh(tmp_path / "second") as second:
        url = first.up("--workers", "0").wait_ready()["url"]
        refused = second.run("status", "--url", url)
        assert refused.returncode == 7, refused.stderr
        assert "Traceback" not in refused.stderr


def test_beside_a_mesh_of_this_machine_a_context_touches_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for folder in ("here", "fleet"):
        (tmp_path / folder).mkdir()
    with running_mesh(tmp_path / "fleet") as fleet, running_mesh(tmp_path / "here") as here:
        url = fleet.up("--workers", "0").wait_ready()["url"]
        local = here.begin("up", "--nodes", "1")
        kept = Path(local.wait_ready()["data"])
        here.data = kept
        done = here.ask("submit", "text", "here", "--wait", "20")["task_id"]
        seed = str(fleet.data / "nats.seed")
        ohmesh("context", "add", "fleet", "--url", url, "--seed-file", seed, cwd=tmp_path)

        refused = ohmesh("down", cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        assert f"--data {kept}" in refused.stderr
        assert here.run("status").returncode == 0, "the mesh of this machine goes on"

        joining = here.begin("up", "--workers", "0", "--nodes", "1")
        data = Path(joining.wait_ready()["data"])
        assert data.parent == kept.parent
        assert data != kept
        wait_until(lambda: "Ctrl-C ends it" in joining.said, what="it has said all that it says")
        assert "--context fleet" in joining.said, "what is to be typed next means this mesh"
        assert "decided by the engine's owner" in joining.said
        assert done not in fleet.run("history").stdout
        told = fleet.run("history", "events", "--json").stdout
        assert "epoch_started" in told
        assert "tail_lost" not in told
        assert ohmesh("down", "--context", "fleet", cwd=tmp_path).returncode == 0
        assert joining.exit_code() == 0
        assert fleet.run("status").returncode == here.run("status").returncode == 0

        wrong = here.run("up", "--url", url, "--seed-file", seed)
        assert wrong.returncode == 2
        assert "of a mesh of this machine" in wrong.stderr


def test_the_ledger_of_another_mesh_is_refused_and_tasks_go_on(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with running_mesh(tmp_path / "first") as first, running_mesh(tmp_path / "second") as second:
        first.up("--workers", "0", "--nodes", "1")
        wait_until(lambda: first.run("history", "events").returncode == 0, what="the ledger is open")
        ledger = f"sqlite:///{first.data}/ledger.db"
        second.up("--nodes", "1", "--ledger", ledger)
        assert second.run("submit", "text", "Splendid!", "--wait", "20").returncode == 0
        wait_until(
            lambda: "another mesh" in second.run("history").stderr, what="history says why it is not kept"
        )
        assert second.run("history").returncode == 6
        assert first.ask("history")["tasks"] == []
