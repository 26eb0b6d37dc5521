"""What travels between replicas. Whatever may have to convince a third one is signed by who says it.

A digest stands for a batch of requests; NOTHING is the digest of the empty batch that fills a gap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""member, what was signed, signature: whether that member signed it."""


class Request(Struct, array_like=True, frozen=True):
    """`number` rises with each request of a client."""

    client: str
    number: int
    operation: bytes


class PrePrepare(Struct, array_like=True, frozen=True, tag="pre-prepare"):
    view: int
    sequence: int
    digest: bytes


class Prepare(Struct, array_like=True, frozen=True, tag="prepare"):
    view: int
    sequence: int
    digest: bytes


class Commit(Struct, array_like=True, frozen=True, tag="commit"):
    view: int
    sequence: int
    digest: bytes


class Checkpoint(Struct, array_like=True, frozen=True, tag="checkpoint"):
    """The state after `sequence`."""

    sequence: int
    digest: bytes


class Signed(Struct, array_like=True, frozen=True):
    source: str
    body: bytes
    signature: bytes


class Proposal(Struct, array_like=True, frozen=True, tag="proposal"):
    """A signed PrePrepare, and the batch that its digest stands for."""

    pre_prepare: Signed
    requests: tuple[Request, ...]


class Prepared(Struct, array_like=True, frozen=True):
    """Proof that no other batch can be decided under that number in that view or an earlier one (4.4)."""

    proposal: Proposal
    prepares: tuple[Signed, ...]


class ViewChange(Struct, array_like=True, frozen=True, tag="view-change"):
    """`stable`: the last stable checkpoint, with a quorum that says so (none for 0)."""

    view: int
    stable: int
    proof: tuple[Signed, ...]
    prepared: tuple[Prepared, ...]


class NewView(Struct, array_like=True, frozen=True, tag="new-view"):
    view: int
    changes: tuple[Signed, ...]
    proposals: tuple[Proposal, ...]


class Ask(Struct, array_like=True, frozen=True, tag="ask"):
    """For a request that a client gave to all, or that its giver heard of (4.1)."""

    request: Request


class AskState(Struct, array_like=True, frozen=True, tag="ask state"):
    """I have executed up to `sequence`, and my last checkpoint is `stable`: what came after, as a stable checkpoint or
    message by message?"""

    sequence: int
    stable: int


class State(Struct, array_like=True, frozen=True, tag="state"):
    sequence: int
    data: bytes
    proof: tuple[Signed, ...]
    view: int


Body = PrePrepare | Prepare | Commit | Checkpoint | ViewChange
Message = Signed | Proposal | NewView | Ask | AskState | State

NOTHING = b""
_encoder = msgspec.msgpack.Encoder()
_body = msgspec.msgpack.Decoder(Body)


def digest_of(requests: Sequence[Request]) -> bytes:
    if not requests:
        return NOTHING
    return hashlib.sha256(_encoder.encode(list(requests))).digest()


def digest_of_state(data: bytes) -> bytes:
    return hashlib.sha256(b"state" + data).digest()


def encode_body(body: Body) -> bytes:
    return _encoder.encode(body)


def decode_body(signed: Signed) -> Body | None:
    """None: it cannot be read."""
    try:
        body: Body = _body.decode(signed.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return body
