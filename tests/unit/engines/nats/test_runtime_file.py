"""The runtime file: private, replaced in one step, removed by its owner only."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ohmesh.engines.nats.runtime_file import (
    RuntimeFile,
    read_runtime_file,
    remove_runtime_file,
    write_runtime_file,
)
from ohmesh.errors import EngineFailed

HERE = RuntimeFile("demo", "nats://127.0.0.1:4222", 17, "/data/nats.seed", 1_700_000_000_000)


def test_what_is_written_is_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "runtime.json"
    write_runtime_file(path, HERE)
    assert read_runtime_file(path) == HERE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_writing_again_replaces_the_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    write_runtime_file(path, HERE)
    opened_before = path.open("rb")
    there = RuntimeFile("demo", "nats://127.0.0.1:5", 18, "x", 2)
    write_runtime_file(path, there)
    assert read_runtime_file(path) == there
    with opened_before:
        assert b":4222" in opened_before.read()
    assert list(tmp_path.iterdir()) == [path]


def test_an_absent_file_is_none_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    assert read_runtime_file(path) is None
    for content in ("", "{", '{"mesh": 3}', "\x00"):
        path.write_text(content)
        with pytest.raises(EngineFailed, match="damaged"):
            read_runtime_file(path)


def test_only_the_process_that_it_speaks_of_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    write_runtime_file(path, HERE)
    remove_runtime_file(path, pid=99)
    assert read_runtime_file(path) == HERE
    remove_runtime_file(path, pid=HERE.pid)
    assert read_runtime_file(path) is None
    remove_runtime_file(path, pid=HERE.pid)
