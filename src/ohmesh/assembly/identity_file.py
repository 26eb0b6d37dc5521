"""An identity's private key in a file of mode 0600, as PEM, made when it is not there.

A file that others may read is no secret any more: it is refused, and not closed quietly, since nobody knows who read
it.
"""

from __future__ import annotations

import os
from pathlib import Path

from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import InvalidArgument, NotAuthorised
from ohmesh.trust.identity import SEED_BYTES, Identity

_OTHERS = 0o077


def ensure_identity(path: Path, name: str) -> Identity:
    """The identity in the file, or a new one, then kept there. Raises NotAuthorised: it cannot be read, written or kept
    secret, or it holds something else."""
    if path.exists():
        return read_identity(path, name)
    identity = Identity.from_seed(name, os.urandom(SEED_BYTES))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, identity.to_pem())
    except OSError as error:
        raise NotAuthorised(
            f"The identity of {name!r} cannot be kept in {path}: {error.strerror or error}.",
            hint="Make room or mend the permissions there.",
        ) from error
    return identity


def read_identity(path: Path, name: str) -> Identity:
    """Raises NotAuthorised: it cannot be read, others may read it, or it holds something else."""
    try:
        is_open = bool(path.stat().st_mode & _OTHERS)
        pem = path.read_bytes()
    except OSError as error:
        raise NotAuthorised(
            f"The identity {path} of {name!r} cannot be read: {error.strerror or error}.",
            hint="Run as the user whose it is.",
        ) from error
    if is_open and os.name == "posix":
        raise NotAuthorised(
            f"The identity {path} of {name!r} is open to other users, so it proves nothing.",
            hint="Remove it to have a new one made, and revoke its key; or, if nobody can have read it: "
            f"chmod 600 {path}",
        )
    try:
        return Identity.from_pem(name, pem)
    except InvalidArgument as error:
        raise NotAuthorised(
            f"{path} holds no identity: {error.message}", hint="Remove it to have a new one made."
        ) from error
