"""What a shell is offered: by the protocol that its script speaks, and by a real bash."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ohmesh.assembly.settings import load_settings
from ohmesh.cli.application import run
from ohmesh.cli.live_names import LiveNames, cache_file, live_names


def offered(folder: Path, *words: str) -> list[str]:
    """What is offered for the last of `words`, which is begun."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OHMESH_")},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
        "_OHMESH_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["ohmesh", *words]),
        "COMP_CWORD": str(len(words)),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "ohmesh"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert ran.stderr == ""
    return [word for line in ran.stdout.splitlines() if (word := line.partition(",")[2])]


def test_verbs_options_and_choices_are_offered(tmp_path: Path) -> None:
    assert {"status", "submit"} <= set(offered(tmp_path, "s"))
    assert offered(tmp_path, "tasks", "ca") == ["cancel"]
    assert "--priority" in offered(tmp_path, "submit", "--pr")
    assert offered(tmp_path, "submit", "text", "--priority", "H") == ["HIGH"]
    assert offered(tmp_path, "status", "--output", "js") == ["json", "jsonl"]


def test_where_no_mesh_runs_no_name_is_offered_and_no_word_said(tmp_path: Path) -> None:
    assert offered(tmp_path, "queues", "pause", "te") == []


def test_names_are_kept_in_a_private_file_and_offered_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = load_settings({"mesh.data": str(tmp_path / "nowhere")})
    kept = cache_file(config)
    kept.parent.mkdir(parents=True)
    kept.write_text('{"kinds": ["text", "image"], "workers": ["box"], "tasks": ["01JD"]}')
    assert live_names(config) == LiveNames(["text", "image"], ["box"], ["01JD"])
    os.utime(kept, (1, 1))
    assert live_names(config).kinds == ["text", "image"], "old names have to do where no mesh answers"


def test_asking_for_names_leaves_the_log_of_the_process_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    live_names(load_settings({"mesh.data": str(tmp_path / "nowhere")}))
    assert logging.getLogger("ohmesh").isEnabledFor(logging.CRITICAL)


def test_contexts_are_offered_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    run(["context", "add", "production", "--url", "nats://box:4222"])
    assert offered(tmp_path, "status", "--context", "pro") == ["production"]
    assert offered(tmp_path, "context", "use", "pro") == ["production"]
    assert offered(tmp_path, "context", "remove", "pro") == ["production"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_shell_has_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_OHMESH_COMPLETE" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_real_bash_completes_a_verb(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ohmesh").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ohmesh "$@"\n')
    (programs / "ohmesh").chmod(0o755)
    script = """
source <(ohmesh completion bash)
COMP_WORDS=(ohmesh tasks ca); COMP_CWORD=2
_ohmesh_completion ohmesh
printf '%s\\n' "${COMPREPLY[@]}"
"""
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    ran = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert ran.stdout.split() == ["cancel"], ran.stderr
