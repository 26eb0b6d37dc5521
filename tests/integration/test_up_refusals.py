"""What `ohmesh` says when it cannot: one line, the right exit code, never a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.integration.running_mesh import ohmesh, running_mesh


def test_a_second_up_on_the_same_data_is_refused_by_name(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        program = mesh.up()
        second = mesh.run("up")
        assert second.returncode == 1
        assert f"Process {program.process.pid} already runs a mesh in {mesh.data}" in second.stderr
        _check_one_line(second.stderr)
        assert mesh.run("status").returncode == 0, "the first one goes on"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = ohmesh("up", "--data", str(tmp_path / "data"), "--port", port, cwd=tmp_path)
    assert ran.returncode == 1
    assert port in ran.stderr
    assert "address already in use" in ran.stderr
    assert len(ran.stderr) < 300, "what the server said before it failed is not repeated"


def test_a_directory_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = ohmesh("up", "--data", str(tmp_path), cwd=tmp_path)
    assert ran.returncode == 2
    assert "thesis.txt" in ran.stderr
    _check_one_line(ran.stderr)


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = ohmesh("up", "--data", str(tmp_path / "file"), cwd=tmp_path)
    assert ran.returncode == 1
    _check_one_line(ran.stderr)


def test_the_data_of_another_mesh_is_refused(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0").end()
        ran = mesh.run("up", "--mesh", "other")
        assert ran.returncode == 2
        assert "--mesh default" in ran.stderr
        _check_one_line(ran.stderr)


def test_another_number_of_shards_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--shards", "3", "--workers", "0").end()
        (mesh.folder / "ohmesh.toml").write_text("[mesh]\nshards = 4\n")
        for refused in (mesh.run("up"), mesh.run("up", "--shards", "2")):
            assert refused.returncode == 2
            assert "--shards 3" in refused.stderr
            assert "--data DIR" in refused.stderr
            _check_one_line(refused.stderr)
        mesh.up("--shards", "3", "--workers", "0")
        assert len(mesh.ask("status")["dispatchers"]) == 3


def test_a_worker_without_its_module_says_which(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        ran = mesh.run("worker", "nowhere:agent")
        assert ran.returncode == 2
        assert "'nowhere'" in ran.stderr
        _check_one_line(ran.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status",), 6, "ohmesh up"),
        (("submit", "text", "hello"), 6, "ohmesh up"),
        (("workers", "--url", "nats://127.0.0.1:1"), 6, "127.0.0.1:1"),
        (("down",), 4, "no mesh runs"),
        (("up", "--durability", "perhaps"), 2, "fsync"),
        (("up", "--workers", "many"), 2, "many"),
        (("up", "--mesh", "two words"), 2, "two words"),
        (("fly",), 2, "fly"),
        (("submit",), 2, "KIND"),
        (("submit", "--priorty", "HIGH"), 2, "Did you mean '--priority'?"),
        (("submitt", "text"), 2, "Did you mean 'submit'?"),
        (("task", "list"), 2, "Did you mean 'tasks'?"),
        (("tasks", "lst"), 2, "Did you mean 'list'?"),
        (("status", "--config", "missing.toml"), 2, "missing.toml"),
    ],
)
def test_where_no_mesh_runs_each_answer_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    data = () if arguments[0] == "fly" else ("--data", str(tmp_path / "data"))
    ran = ohmesh(*arguments, *data, cwd=tmp_path)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    _check_one_line(ran.stderr)


def test_a_misspelt_setting_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "ohmesh.toml").write_text('[engine]\ndurabilty = "fsync"\n')
    ran = ohmesh("up", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert ran.returncode == 2
    assert "ohmesh.toml" in ran.stderr
    assert "engine.durability" in ran.stderr


def _check_one_line(talk: str) -> None:
    assert "Traceback" not in talk
    assert talk.count("\n") == 1, talk
