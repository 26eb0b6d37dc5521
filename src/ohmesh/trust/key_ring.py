"""Whose keys are believed: enrolled public keys, each with its owner and the time in which it counts.

A key belongs to one name; a name may have several keys at once, so that a new one is enrolled before the old one ends.
A revoked key stays refused, even when it is enrolled again.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidArgument, NotTrusted
from ohmesh.trust.public_key import checked_public_key, key_id

FOREVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class KeyRingConfig:
    """keys, keys_of_name: how many are enrolled at once, at most. revoked: how many revoked ones are remembered."""

    keys: int = 200_000
    keys_of_name: int = 4
    revoked: int = 200_000


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """Counts from `from_ms` on and before `until_ms`, mesh time in milliseconds."""

    name: str
    public_key: bytes
    from_ms: int = 0
    until_ms: int = FOREVER_MS

    @property
    def key_id(self) -> bytes:
        return key_id(self.public_key)


class KeyRing:
    def __init__(self, config: KeyRingConfig | None = None) -> None:
        self._config = config or KeyRingConfig()
        self._keys: dict[bytes, EnrolledKey] = {}
        self._of_name: dict[str, list[bytes]] = {}
        self._revoked: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def enrol(self, key: EnrolledKey) -> bytes:
        """Believe this key; its id. Enrolling a key of the same name again changes its time.

        Raises InvalidArgument: no usable key (`checked_public_key`), another's, too many. NotTrusted: revoked."""
        checked_public_key(key.public_key)
        identifier = key.key_id
        if identifier in self._revoked:
            raise NotTrusted(
                f"The key {identifier.hex()} of {key.name!r} was revoked.", hint="Enrol a new one."
            )
        known = self._keys.get(identifier)
        if known is not None and known.name != key.name:
            raise InvalidArgument(
                f"The key {identifier.hex()} is that of {known.name!r}, not of {key.name!r}."
            )
        if known is None:
            self._check_room(key.name)
            self._of_name.setdefault(key.name, []).append(identifier)
        self._keys[identifier] = key
        return identifier

    def revoke(self, identifier: bytes) -> None:
        """Believe it no more, whatever comes; idempotent. Raises InvalidArgument: too many are revoked already."""
        if identifier not in self._revoked and len(self._revoked) >= self._config.revoked:
            raise InvalidArgument(
                f"{len(self._revoked)} keys are revoked, which is as many as can be remembered."
            )
        self._revoked[identifier] = None
        self._remove(identifier)

    def expire(self, now_ms: int) -> int:
        """Forget keys whose time is over; how many those were."""
        over = [identifier for identifier, key in self._keys.items() if key.until_ms <= now_ms]
        for identifier in over:
            self._remove(identifier)
        return len(over)

    def key(self, identifier: bytes, now_ms: int) -> EnrolledKey:
        """Raises NotTrusted: nobody's, revoked, or not in its time."""
        key = self._keys.get(identifier)
        if key is None:
            known = "was revoked" if identifier in self._revoked else "is enrolled for nobody"
            raise NotTrusted(f"The key {identifier.hex()} {known}.")
        if not key.from_ms <= now_ms < key.until_ms:
            raise NotTrusted(f"The key {identifier.hex()} of {key.name!r} does not count at this time.")
        return key

    def keys_of(self, name: str) -> list[EnrolledKey]:
        """In the order of enrolment."""
        return [self._keys[identifier] for identifier in self._of_name.get(name, [])]

    def _check_room(self, name: str) -> None:
        if (
            len(self._keys) >= self._config.keys
            or len(self._of_name.get(name, [])) >= self._config.keys_of_name
        ):
            raise InvalidArgument(
                f"No more keys can be enrolled: {len(self._keys)} of {self._config.keys}, "
                f"{len(self._of_name.get(name, []))} of {self._config.keys_of_name} for {name!r}.",
                hint="Revoke or expire old ones first.",
            )

    def _remove(self, identifier: bytes) -> None:
        key = self._keys.pop(identifier, None)
        if key is not None:
            of_name = self._of_name[key.name]
            of_name.remove(identifier)
            if not of_name:
                del self._of_name[key.name]
