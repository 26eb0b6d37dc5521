"""What lets people in at the door for HTTP, in files for the owner only: the owner's token, and keys of others, hashed.

<data>/api-token    the owner's token, one line; made when it is missing
<data>/api-keys     `name digest` to a line; a key itself is told once, when it is made
<data>/api.json     where the door is reached now, and by which process
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ohmesh.api.config import ApiConfig
from ohmesh.api.keyring import KeyLines, digest_of, is_key_name, parse_keys
from ohmesh.assembly.data_directory import DataDirectory, open_to_others
from ohmesh.engines.nats.config import Notice
from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import EngineFailed, InvalidArgument

TOKEN_BYTES = 32
_OWNER_ONLY = 0o600
_WRITABLE_BY_OTHERS = 0o022


class ApiAddress(msgspec.Struct, frozen=True):
    """`url` without a slash at its end."""

    url: str
    port: int
    pid: int


def token_path(config: ApiConfig, data: DataDirectory) -> Path:
    """InvalidArgument where there is no place for it: a directory without a mesh is not ours to write into."""
    return _place(config.token_file, data, "api-token")


def keys_path(config: ApiConfig, data: DataDirectory) -> Path:
    """As token_path; beside a token that was put elsewhere."""
    if config.token_file and not config.keys_file:
        return token_path(config, data).with_name("api-keys")
    return _place(config.keys_file, data, "api-keys")


def ensure_token(path: Path, notice: Notice) -> str:
    """The token, made when there is none. A file that others may read is closed to them."""
    try:
        with _alone_in(path.parent):
            is_new = not path.exists()
            if is_new:
                write_private(path, f"{secrets.token_urlsafe(TOKEN_BYTES)}\n".encode())
        if not is_new and open_to_others(path):
            path.chmod(_OWNER_ONLY)
            notice(
                f"the token {path} was open to other users and is closed to them now; "
                "if somebody may have read it, remove it and start again: a new one is made"
            )
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineFailed(
            f"The token {path} cannot be used: {error}.", hint="Mend its permissions, or give --token-file."
        ) from error
    if not token.isascii() or not token.isprintable() or not token:
        raise InvalidArgument(f"{path} holds no token.", hint="Remove it to have a new one made.")
    return token


def read_keys(path: Path) -> KeyLines:
    """None where there is no file, and none of a file that others may have written."""
    try:
        with path.open() as file:
            if os.fstat(file.fileno()).st_mode & _WRITABLE_BY_OTHERS:
                return KeyLines(
                    {},
                    f"The keys in {path} can be changed by other users, so none of them counts.",
                    f"Look through its lines, then: chmod 600 {path}",
                )
            return parse_keys(file.read().splitlines())
    except FileNotFoundError:
        return KeyLines({})
    except (OSError, UnicodeDecodeError) as error:
        raise EngineFailed(
            f"The keys in {path} cannot be read: {error}.", hint="Mend its permissions."
        ) from error


def add_key(path: Path, name: str) -> str:
    """Make a key for somebody; it is returned and kept nowhere. InvalidArgument when the name has one."""
    if not is_key_name(name):
        raise InvalidArgument(
            f"{name!r} is no name for a key.",
            hint="Use up to 64 letters, digits, dots, dashes and underscores.",
        )
    key = secrets.token_urlsafe(TOKEN_BYTES)
    try:
        with _alone_in(path.parent):
            keys = read_keys(path).checked()
            if name in keys:
                raise InvalidArgument(
                    f"{name!r} has a key.", hint=f"To replace it, remove its line from {path} first."
                )
            lines = [f"{each} {digest}\n" for each, digest in {**keys, name: digest_of(key)}.items()]
            write_private(path, "".join(lines).encode())
    except OSError as error:
        raise EngineFailed(
            f"The keys in {path} cannot be written: {error}.", hint="Mend its permissions."
        ) from error
    return key


def read_address(data: DataDirectory) -> ApiAddress | None:
    """None where there is none, or none that can be read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(_address_path(data).read_bytes(), type=ApiAddress)
    return None


def write_address(data: DataDirectory, url: str, port: int) -> None:
    write_private(_address_path(data), msgspec.json.encode(ApiAddress(url, port, os.getpid())))


def remove_address(data: DataDirectory) -> None:
    """Only what this process wrote; a successor's stays."""
    known = read_address(data)
    if known is not None and known.pid == os.getpid():
        _address_path(data).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """One process at a time looks there and then writes. The lock is the directory's own and leaves no file."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _place(said: str, data: DataDirectory, name: str) -> Path:
    if said:
        return Path(said).expanduser()
    if data.shape() is None:
        raise InvalidArgument(
            f"{data.root} holds no mesh, so the door's token has no place.",
            hint="Start one with `ohmesh up`, say which one with --data, or give --token-file FILE.",
        )
    return data.root / name


def _address_path(data: DataDirectory) -> Path:
    return data.root / "api.json"
