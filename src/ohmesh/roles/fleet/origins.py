"""Whose signed facts count in a conflict: public keys of origins, one entry of `state` for each.

    fleet.origins.<key id in hex>     name and public key

Whoever may write to the state of the mesh may enrol an origin; what somebody says as an origin he has to sign.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument, NotTrusted
from ohmesh.ports.state import State
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import EnrolledKey, KeyRing

PREFIX = "fleet.origins"


class _Origin(Struct, array_like=True, frozen=True):
    name: str
    public_key: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Origin).decode


async def enrol_origin(state: State, identity: Identity) -> None:
    """Raises EngineError."""
    await state.put(f"{PREFIX}.{identity.key_id.hex()}", _encode(_Origin(identity.name, identity.public_key)))


class Origins:
    """Those that were enrolled, in `ring`."""

    def __init__(self, state: State, ring: KeyRing) -> None:
        self.ring = ring
        self._state = state
        self._seen: set[str] = set()

    async def learn(self) -> None:
        """Those that have been enrolled since are believed as well; what is no usable key is left out. Raises
        EngineError."""
        for key in await self._state.keys(PREFIX):
            if key in self._seen:
                continue
            entry = await self._state.get(key)
            if entry is None or entry.value is None:
                continue
            self._seen.add(key)
            try:
                origin = _decode(entry.value)
                self.ring.enrol(EnrolledKey(origin.name, origin.public_key))
            except (msgspec.MsgspecError, InvalidArgument, NotTrusted):
                continue
