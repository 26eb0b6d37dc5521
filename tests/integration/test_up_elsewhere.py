"""A mesh on an engine that somebody else runs: a change of URL, nothing more; and two meshes that share one engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.running_mesh import running_mesh
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
