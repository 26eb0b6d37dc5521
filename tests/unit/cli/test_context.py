"""Contexts: remembered privately, chosen by name, never stronger than what names a mesh directly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohmesh.assembly.contexts import contexts_file
from ohmesh.assembly.settings import resolve_settings
from ohmesh.cli.application import run
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable
from ohmesh.mesh import Mesh


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OHMESH_CONTEXT", raising=False)
    monkeypatch.chdir(tmp_path)


def meant(name: str = "", **flags: object) -> tuple[str, str, str]:
    """The context that is taken, and the URL and data directory that follow."""
    config = resolve_settings(flags, context=name)
    return config.context, config.engine.url, config.mesh.data


def test_the_first_context_is_current_and_the_file_is_private(tmp_path: Path) -> None:
    assert run(["context", "add", "prod", "--url", "nats://box:4222", "--seed-file", "key"]) is ExitCode.OK
    assert meant() == ("prod", "nats://box:4222", "")
    assert contexts_file().stat().st_mode & 0o777 == 0o600
    assert str(tmp_path / "key") in contexts_file().read_text()


def test_a_flag_is_stronger_than_the_environment_and_that_than_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one", "two", "three"):
        run(["context", "add", name, "--url", f"nats://{name}:4222"])
    run(["context", "use", "two"])
    assert meant()[0] == "two"
    monkeypatch.setenv("OHMESH_CONTEXT", "three")
    assert meant()[0] == "three"
    assert meant("one") == ("one", "nats://one:4222", "")


def test_what_names_a_mesh_directly_leaves_no_part_of_a_context() -> None:
    run(["context", "add", "prod", "--url", "nats://box:4222", "--mesh", "blue"])
    config = resolve_settings({"mesh.data": "/elsewhere"})
    assert (config.context, config.engine.url, config.mesh.name) == ("", "", "default")


def test_beside_the_context_of_a_mesh_elsewhere_data_says_where_our_part_is_kept() -> None:
    run(["context", "add", "prod", "--url", "nats://box:4222", "--mesh", "blue"])
    config = resolve_settings({"mesh.data": "/here"}, context="prod")
    assert (config.context, config.engine.url) == ("prod", "nats://box:4222")
    assert (config.mesh.name, config.mesh.data) == ("blue", "/here")


@pytest.mark.parametrize(
    ("name", "key", "value", "option"),
    [("prod", "engine.url", "nats://other:4222", "--url"), ("here", "mesh.data", "/elsewhere", "--data")],
)
def test_a_context_that_was_asked_for_is_not_passed_over(
    name: str, key: str, value: str, option: str
) -> None:
    run(["context", "add", "prod", "--url", "nats://box:4222"])
    run(["context", "add", "here", "--data", "/here"])
    with pytest.raises(InvalidArgument, match=f"{name}.*{option}"):
        resolve_settings({key: value}, context=name)


def test_a_python_program_means_the_mesh_that_the_command_line_means(monkeypatch: pytest.MonkeyPatch) -> None:
    run(["context", "add", "current", "--url", "nats://127.0.0.1:1"])
    run(["context", "add", "other", "--url", "nats://127.0.0.1:2"])
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:1"):
        Mesh.connect()
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:2"):
        Mesh.connect(context="other")
    monkeypatch.setenv("OHMESH_CONTEXT", "other")
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:2"):
        Mesh.connect()
    with pytest.raises(MeshUnreachable, match="No mesh runs in /nowhere"):
        Mesh.connect(data="/nowhere")


def test_a_removed_context_is_current_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    run(["context", "add", "prod", "--data", "somewhere"])
    capsys.readouterr()
    assert run(["context", "remove", "prod", "--json"]) is ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"current": "", "contexts": {}}
    assert meant() == ("", "", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["use", "prdo"], "Did you mean 'prod'?"),
        (["use"], "not clear which"),
        (["add", "prod", "--url", "nats://x:1"], "already"),
        (["add", "new"], "--url URL"),
        (["add", "a b", "--url", "nats://x:1"], "not a valid context name"),
        (["remove", "nobody"], "no context 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["context", "add", "prod", "--url", "nats://box:4222"])
    before = contexts_file().read_text()
    assert run(["context", *words]) is ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert contexts_file().read_text() == before


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    contexts_file().parent.mkdir(parents=True)
    contexts_file().write_text("{")
    assert run(["context", "list"]) is ExitCode.USAGE
    assert str(contexts_file()) in capsys.readouterr().err


def test_without_a_verb_the_contexts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run(["context", "add", "prod", "--url", "nats://box:4222"])
    capsys.readouterr()
    assert run(["context"]) is ExitCode.OK
    assert "nats://box:4222" in capsys.readouterr().out
    assert run(["context", "--json"]) is ExitCode.OK
    assert json.loads(capsys.readouterr().out)["current"] == "prod"
