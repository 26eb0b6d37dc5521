"""An identity's file: made once, for its owner alone, and refused when it is not a secret."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ohmesh.assembly.identity_file import ensure_identity, read_identity
from ohmesh.errors import NotAuthorised


def test_an_identity_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "host.pem"
    made = ensure_identity(path, "host")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (
        ensure_identity(path, "host").public_key == read_identity(path, "host").public_key == made.public_key
    )
    assert ensure_identity(tmp_path / "other.pem", "other").public_key != made.public_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_file_that_others_may_open_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "host.pem"
    ensure_identity(path, "host")
    path.chmod(mode)
    with pytest.raises(NotAuthorised, match="chmod 600"):
        ensure_identity(path, "host")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.pem"
    path.touch(0o600)
    path.write_bytes(b"not a key")
    with pytest.raises(NotAuthorised, match="holds no identity"):
        ensure_identity(path, "host")


def test_a_file_that_is_not_there_or_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAuthorised, match="cannot be read"):
        read_identity(tmp_path / "none.pem", "host")
    (tmp_path / "file").touch()
    with pytest.raises(NotAuthorised, match="cannot be kept"):
        ensure_identity(tmp_path / "file" / "host.pem", "host")
