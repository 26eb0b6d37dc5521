"""One process's lease, as its holder may believe in it.

A lease in the engine lasts `ttl_ms` from the moment a write arrives there. Its holder counts from the moment it SENT
the last write that succeeded, and `margin_ms` less: so the holder stops believing before anybody else can see the
lease gone, however late the answer came, as long as its clock loses less than the margin in one TTL.

Two clocks count, and the one that says more decides: the monotonic clock never steps back, but stands still while the
machine is suspended; the wall clock goes on then, but may be set back. Setting it forward costs a role its place, once.
Source: Gray and Cheriton, Leases, 1989.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineFailed, InvalidArgument


class LeaseValue(Struct, array_like=True, frozen=True):
    """What stands under the lease's key. `incarnation` is drawn for each lease, so that a holder knows its own writes
    again when an answer got lost, and never takes its predecessor's lease for its own. `generation` rises with what a
    process can read that others wrote; 0 is a version that did not say."""

    incarnation: int
    serves: tuple[str, ...] = ()
    generation: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LeaseValue)


def encode_lease(value: LeaseValue) -> bytes:
    return _encoder.encode(value)


def decode_lease(value: bytes, key: str) -> LeaseValue:
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise EngineFailed(
            f"State key {key} is not a lease: {error}.",
            hint="Another program or version writes into this mesh's state; give the mesh a name of its own.",
        ) from error


class Moment(NamedTuple):
    """Now, by both clocks."""

    monotonic_ms: int
    wall_ms: int


@dataclass(slots=True)
class Lease:
    """`revision` is that of our last write, 0 when nothing of ours is known to stand in the engine. `sent` is when the
    last write that succeeded was sent, None when the lease has ended."""

    ttl_ms: int
    margin_ms: int
    revision: int = 0
    sent: Moment | None = None

    def __post_init__(self) -> None:
        if not 0 < self.margin_ms < self.ttl_ms:
            raise InvalidArgument(
                f"A margin of {self.margin_ms} ms leaves nothing of a lease of {self.ttl_ms} ms.",
                hint="Use a margin above 0 and below the TTL; a sixth of it is usual.",
            )

    def written(self, revision: int, sent: Moment) -> None:
        """A write that was sent at `sent` has succeeded."""
        self.revision = revision
        self.sent = sent

    def found(self, revision: int) -> None:
        """A write of ours stands in the engine; when it was sent is not known, so it proves nothing yet."""
        self.revision = revision

    def ended(self) -> None:
        self.revision = 0
        self.sent = None

    def remaining_ms(self, now: Moment) -> int:
        """How long it is held from now on; 0 when it is not."""
        if self.sent is None:
            return 0
        passed_ms = max(now.monotonic_ms - self.sent.monotonic_ms, now.wall_ms - self.sent.wall_ms)
        return max(0, self.ttl_ms - self.margin_ms - passed_ms)
