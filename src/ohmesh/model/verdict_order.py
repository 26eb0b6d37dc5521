"""Whether agents that are prepared act at T, as the payload of a Coordinate: to everybody who was asked to prepare.

COMMIT: who is prepared acts at T, or at once where T is past, and answers READY then; who is not answers CONFLICT
(`Unable`). ABORT: everybody drops the work, and answers READY. reason: a word; `presumed` where no verdict came.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct

from ohmesh.model.fleet_message import Coordinate, Id

PREFIX = b"ohmesh.verdict/1\0"
PRESUMED = "presumed"


class Verdict(StrEnum):
    COMMIT = "commit"
    ABORT = "abort"


class Unable(StrEnum):
    """Kinds of a ReportedConflict."""

    NOT_PREPARED = "not_prepared"
    TOO_LATE = "too_late"


class VerdictOrder(Struct, array_like=True, frozen=True):
    """operation: the one that they prepared for."""

    operation: Id
    verdict: Verdict
    reason: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(VerdictOrder).decode


def encode_verdict_order(order: VerdictOrder) -> bytes:
    return PREFIX + _encode(order)


def read_verdict_order(order: Coordinate) -> VerdictOrder | None:
    """None for a message about anything else."""
    if not order.payload.startswith(PREFIX):
        return None
    try:
        return _decode(order.payload[len(PREFIX) :])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
