"""NKeys: the seed (a secret, in a file of mode 0600) and the public key (which the server's configuration holds).

A file that others may read is no secret: whoever owns the mesh mends it, whoever only uses it is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

import nkeys

from ohmesh.engines.nats.config import Notice, log_notice
from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import EngineFailed, NotAuthorised

_ED25519_SEED_BYTES = 32
_OTHERS = 0o077
_CREDENTIALS_HEAD = b"BEGIN NATS USER JWT"


def ensure_seed_file(path: Path, notice: Notice = log_notice) -> str:
    """Create a user's seed at `path` unless one is there, and close it to others; return its public key."""
    if not path.exists():
        seed = nkeys.encode_seed(os.urandom(_ED25519_SEED_BYTES), nkeys.PREFIX_BYTE_USER)
        write_private(path, bytes(seed) + b"\n")
    elif path.stat().st_mode & _OTHERS:
        path.chmod(0o600)
        notice(
            f"the key {path} was open to other users and is closed to them now; "
            "if somebody may have read it, end the mesh and remove it: a new one is made"
        )
    return public_key(path)


def public_key(path: Path) -> str:
    try:
        pair = nkeys.from_seed(bytearray(_content(path).strip()))
        public: bytes = pair.public_key
    except (nkeys.NkeysError, ValueError) as error:
        raise EngineFailed(
            f"{path} holds no NKey seed.", hint="Remove it to have a new one made, or give the right file."
        ) from error
    return public.decode()


def client_options(path: Path | None) -> dict[str, str]:
    """What nats-py wants to hear: a seed file, a .creds file (JWT and seed), or nothing (then the URL says it)."""
    if path is None:
        return {}
    content = _content(path)
    if path.stat().st_mode & _OTHERS:
        raise NotAuthorised(
            f"The seed file {path} is open to other users, so it proves nothing.", hint=f"chmod 600 {path}"
        )
    if _CREDENTIALS_HEAD in content:
        return {"user_credentials": str(path)}
    try:
        public_key(path)
    except EngineFailed as error:
        raise NotAuthorised(error.message, hint="Name the seed file that you were given.") from error
    return {"nkeys_seed": str(path)}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotAuthorised(
            f"The seed file {path} cannot be read: {error.strerror}.",
            hint="Run as the user who started the mesh, or name the seed file that you were given.",
        ) from error
