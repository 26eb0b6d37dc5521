"""What an operation asks of the state of its targets, as the payload of a Coordinate: their context, and their duty.

    a wish, as a person says it            what the orchestrator makes of it, and sends
    EditContext, MergeBranch               HoldContext
    VerifyContext, SyncContext             the same, with the version and the process that it names
    RestoreContext, FreezeState, ThawState, ChangeDuty, HealState

A payload is one of these behind a prefix, so no agent takes a text for an order. An agent answers READY with the mark
of its context, or CONFLICT with the reason: context_divergence (and its depth), hash_mismatch, or a word of `Refusal`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.context import HASH_BYTES, ContextVersion, Key
from ohmesh.model.fleet_message import Coordinate, Id

PREFIX = b"ohmesh.state/1\0"
MAIN = "main"
MAX_LINEAGE = 64
MAX_INLINE_BYTES = 4_096  # a content above that is fetched by its name, once by each process

Name = Annotated[bytes, Meta(max_length=HASH_BYTES)]
Branch = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Removed = Annotated[tuple[Key, ...], Meta(max_length=1_000)]


class Refusal(StrEnum):
    """Kinds of a ReportedConflict."""

    DIVERGED = "context_divergence"
    MISMATCH = "hash_mismatch"
    FROZEN = "frozen"
    QUARANTINED = "quarantined"
    NOT_KEPT = "state_not_kept"
    NO_CONTENT = "content_missing"
    NO_KNOWN_GOOD = "no_known_good"
    MERGE = "merge_conflict"
    NO_RESTART = "no_restart"


class Move(StrEnum):
    """ADVANCE: from a version that the new one came from. MERGE: with what it holds. PUT: whatever it holds."""

    ADVANCE = "advance"
    MERGE = "merge"
    PUT = "put"


class How(StrEnum):
    """What `heal` does. AUTO: to each what it needs."""

    AUTO = "auto"
    RESTART = "restart"
    REPLACE = "replace"
    RESYNC = "resync"


class EditContext(Struct, frozen=True, tag="edit", kw_only=True):
    """Change the head of a branch and let the targets hold it. replaced: `put` is all that it holds. base: the version
    that the change was made of; where the head is another by now, it is refused. A branch that does not exist begins at
    the head of `main`."""

    put: dict[Key, bytes] = {}
    removed: Removed = ()
    replaced: bool = False
    branch: Branch = MAIN
    base: Name = b""
    move: Move = Move.ADVANCE


class MergeBranch(Struct, frozen=True, tag="merge", kw_only=True):
    """Merge the head of `source` into `branch`, and let the targets hold that."""

    source: Branch
    branch: Branch = MAIN


class HoldContext(Struct, frozen=True, tag="hold", kw_only=True):
    """lineage: the version and the nearest of its past, parents first. content: empty where it is fetched."""

    version: Name
    lineage: Annotated[tuple[ContextVersion, ...], Meta(max_length=MAX_LINEAGE)]
    content: bytes = b""
    move: Move = Move.ADVANCE


class VerifyContext(Struct, frozen=True, tag="verify"):
    """Do you hold exactly this version? Empty in a wish: the head of `branch`."""

    version: Name = b""
    branch: Branch = MAIN


class SyncContext(Struct, frozen=True, tag="sync", kw_only=True):
    """Hold what a peer holds: `peer` is an agent in a wish, `process` the one that it lives in."""

    peer: Id = ""
    process: Id = ""
    version: Name = b""


class RestoreContext(Struct, frozen=True, tag="restore"):
    """Go back to the last version that was verified; each agent to its own."""


class FreezeState(Struct, frozen=True, tag="freeze"):
    """Stop taking work, and keep your state under `kept_at` (the operation's id where it is empty)."""

    kept_at: Id = ""


class ThawState(Struct, frozen=True, tag="thaw"):
    """Load the state that was kept, and go on."""


class ChangeDuty(Struct, frozen=True, tag="duty"):
    """DRAINING: finish what you have and take no more. QUARANTINED: nothing is routed to you. READY: both are over.
    is_held: in quarantine because of a conflict, or that is over; it stands beside the duty."""

    duty: Duty
    is_held: bool | None = None


class HealState(Struct, frozen=True, tag="heal", kw_only=True):
    """Check your context against `version`, get it from `process` where it is another, and be ready again. how: in a
    wish, what to do; is_auto: to whom it is needed. restart: (first row, how many) of those that are begun anew."""

    version: Name = b""
    process: Id = ""
    branch: Branch = MAIN
    how: How = How.AUTO
    is_auto: bool = False
    restart: tuple[tuple[int, int], ...] = ()


StateOrder = (
    EditContext
    | MergeBranch
    | HoldContext
    | VerifyContext
    | SyncContext
    | RestoreContext
    | FreezeState
    | ThawState
    | ChangeDuty
    | HealState
)

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[StateOrder] = msgspec.msgpack.Decoder(StateOrder)


def encode_state_order(order: StateOrder) -> bytes:
    return PREFIX + _encode(order)


def is_state_order(payload: bytes) -> bool:
    return payload.startswith(PREFIX)


def read_state_order(order: Coordinate) -> StateOrder | None:
    """None for a message about anything else. Raises InvalidArgument."""
    return decode_state_order(order.payload) if is_state_order(order.payload) else None


def decode_state_order(payload: bytes) -> StateOrder:
    """Raises InvalidArgument."""
    try:
        return _decoder.decode(payload[len(PREFIX) :])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"An order about the state of agents cannot be read: {error}.") from error
