"""Tokens and keys of the door: made once, believed only where nobody else may have written them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ohmesh.api.config import ApiConfig
from ohmesh.api.keyring import Keyring, digest_of
from ohmesh.assembly.api_access import add_key, ensure_token, read_keys
from ohmesh.assembly.api_server import use_keys
from ohmesh.errors import InvalidArgument, TokenRefused

AT_ONCE = 8


def at_once(call: Callable[[int], str]) -> list[str]:
    """What `call(number)` returns in threads that begin together."""
    together = threading.Barrier(AT_ONCE)

    def run(number: int) -> str:
        together.wait()
        return call(number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(run, range(AT_ONCE)))


def unheard(sentence: str) -> None:
    raise AssertionError(sentence)


def test_doors_that_start_at_once_have_one_token(tmp_path: Path) -> None:
    path = tmp_path / "api-token"
    tokens = at_once(lambda _number: ensure_token(path, unheard))
    assert set(tokens) == {path.read_text().strip()}
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    made = at_once(lambda number: add_key(path, f"name-{number}"))
    assert read_keys(path).checked() == {f"name-{number}": digest_of(key) for number, key in enumerate(made)}


def test_a_file_of_keys_that_others_may_write_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    add_key(path, "anna")
    path.chmod(0o620)
    assert read_keys(path).keys == {}
    with pytest.raises(InvalidArgument, match=f"other users.*chmod 600 {path}"):
        read_keys(path).checked()
    with pytest.raises(InvalidArgument, match="other users"):
        add_key(path, "bert")
    path.chmod(0o600)
    assert set(read_keys(path).checked()) == {"anna"}


def test_a_wrong_line_keeps_no_removed_key_alive(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    anna, bert = add_key(path, "anna"), add_key(path, "bert")
    keyring = Keyring("token", ApiConfig(), keys=read_keys(path).checked())
    path.write_text(path.read_text().splitlines()[1] + "\n# anna has left\n")
    assert "Line 2" in use_keys(path, keyring)
    assert keyring.caller(f"Bearer {bert}").name == "key bert"
    with pytest.raises(TokenRefused):
        keyring.caller(f"Bearer {anna}")


def test_a_name_that_is_there_twice_has_no_key(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    add_key(path, "anna")
    path.write_text(path.read_text() + f"anna {digest_of('another')}\n")
    assert read_keys(path).keys == {}
    with pytest.raises(InvalidArgument, match="Line 2"):
        read_keys(path).checked()


def test_keys_that_become_writable_by_others_are_out_until_that_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "api-keys"
    anna = add_key(path, "anna")
    keyring = Keyring("token", ApiConfig(), keys=read_keys(path).checked())
    path.chmod(0o666)
    assert "other users" in use_keys(path, keyring)
    with pytest.raises(TokenRefused):
        keyring.caller(f"Bearer {anna}")
    path.chmod(0o600)
    assert use_keys(path, keyring) == ""
    assert keyring.caller(f"Bearer {anna}").name == "key anna"
