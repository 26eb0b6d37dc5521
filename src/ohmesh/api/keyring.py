"""Who asks: the owner by the token of the data directory, others by keys of their own.

Of a key only its SHA-256 is kept (a key is 256 random bits, so a slow hash adds nothing), and what a caller sends is
compared with every one of them in constant time. Neither tokens nor keys are ever logged or put into an address.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from ohmesh.api.config import ApiConfig
from ohmesh.errors import InvalidArgument, TokenRefused

OWNER = "owner"
_SCHEME = re.compile(r"Bearer +([!-~]+) *", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINE = re.compile(rf"({_NAME.pattern}) ([0-9a-f]{{64}})")


class Caller(Struct, frozen=True):
    name: str
    requests_per_minute: int


class KeyLines(Struct, frozen=True):
    """The keys of a file that count, name to digest; what is wrong with the rest of it, and the remedy."""

    keys: dict[str, str]
    trouble: str = ""
    remedy: str = ""

    def checked(self) -> dict[str, str]:
        """The keys; InvalidArgument when anything is wrong."""
        if self.trouble:
            raise InvalidArgument(self.trouble, hint=self.remedy)
        return self.keys


class Keyring:
    """`keys`: name of a caller to the digest of its key."""

    def __init__(self, token: str, config: ApiConfig, *, keys: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._owner = (digest_of(token), Caller(OWNER, config.requests_per_minute))
        self._callers = [self._owner]
        self.use_keys(keys or {})

    def use_keys(self, keys: Mapping[str, str]) -> None:
        """These from now on, and no others."""
        limit = self._config.key_requests_per_minute
        self._callers = [
            self._owner,
            *((digest, Caller(f"key {name}", limit)) for name, digest in keys.items()),
        ]

    def caller(self, authorization: str) -> Caller:
        """Of the header Authorization. TokenRefused when it names nobody."""
        given = _SCHEME.fullmatch(authorization)
        if given is None:
            raise TokenRefused("This address wants a token, and the request has none.")
        digest = digest_of(given[1])
        found = [caller for known, caller in self._callers if hmac.compare_digest(known, digest)]
        if not found:
            raise TokenRefused("The token is not one of this mesh.")
        return found[0]


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def is_key_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def parse_keys(lines: Iterable[str]) -> KeyLines:
    """A file of keys: one `name digest` to a line. A name that is there twice has no key."""
    keys: dict[str, str] = {}
    wrong: list[int] = []
    twice: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            wrong.append(number)
        elif found[1] in keys:
            wrong.append(number)
            twice.add(found[1])
        else:
            keys[found[1]] = found[2]
    counting = {name: digest for name, digest in keys.items() if name not in twice}
    if not wrong:
        return KeyLines(counting)
    return KeyLines(
        counting,
        f"Line {wrong[0]} of the file of keys is not `name digest`, or its name is there twice.",
        "Remove it, and make a key with `ohmesh api --new-key NAME`.",
    )
