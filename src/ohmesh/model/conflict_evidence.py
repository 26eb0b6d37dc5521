"""What agents lay on the table in a conflict, and what they are asked to do about it: MessagePack, small, bounded.

A fact carries where it comes from. Its origin signed it (a statement of ohmesh.trust, purpose "fact", whose payload is
`fact_payload`), and says how strong it is: 0 is hearsay, 100 measured by itself. `holder` is who holds it now.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Coordinate, Id, Verb

MAX_FACTS = 256
FACT_PURPOSE = "fact"

Text = Annotated[str, Meta(max_length=1_000)]
Strength = Annotated[int, Meta(ge=0, le=100)]
Stamp = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Fact(Struct, array_like=True, frozen=True):
    """stamp: hybrid time when its origin said it. signature: the signed statement, empty where there is none."""

    key: Text
    value: Text
    holder: Id
    origin: Id = ""
    strength: Strength = 0
    stamp: Stamp = 0
    signature: bytes = b""


class StampedEvent(Struct, array_like=True, frozen=True):
    """Something that happened at `agent`, with its hybrid stamp, and the ids of the events that caused it."""

    id: Id
    agent: Id
    stamp: Stamp
    causes: tuple[Id, ...] = ()


class BranchState(Struct, array_like=True, frozen=True):
    """One agent's version of a context (values: branch_values). base: values at the common ancestor, empty where it is
    not known."""

    context_hash: bytes
    values: dict[Text, Text]
    base: dict[Text, Text] = {}


class Evidence(Struct, array_like=True, frozen=True):
    """The `data` of a report, and of an agent's answer to a ConflictOrder. context_hash: of what it has loaded now.
    offset_ms: how far its clock is ahead of mesh time, where it measured that. done: it did what was ordered."""

    facts: Annotated[tuple[Fact, ...], Meta(max_length=MAX_FACTS)] = ()
    events: Annotated[tuple[StampedEvent, ...], Meta(max_length=MAX_FACTS)] = ()
    branch: BranchState | None = None
    context_hash: bytes = b""
    offset_ms: float | None = None
    done: bool = False


class ConflictOrder(Struct, frozen=True, tag_field="conflict_order", tag="1"):
    """What an agent is to do: the payload of a message with the verb `sync`.

    ask: "facts" (about `key`), "events", "branch": answer with Evidence. "update": hold `value` for `key` from now on.
    "merge": take `values` for your context. "resync": measure your clock anew. "reload": load the context with
    `context_hash`, from `context`, or from your own copy where that is empty, and answer with the hash that you have.
    versions: with "branch" those that went apart, with "merge" those that the merged context comes from. `context` may
    be an order of `state_order` to hold it, which says where its content is.
    """

    conflict: Id
    ask: str
    key: str = ""
    value: str = ""
    values: dict[str, str] = {}
    context_hash: bytes = b""
    context: bytes = b""
    versions: tuple[bytes, ...] = ()


Kind = TypeVar("Kind", Evidence, ConflictOrder)

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def encode(value: Evidence | ConflictOrder) -> bytes:
    return _encode(value)


def decode(data: bytes, kind: type[Kind]) -> Kind:
    """Raises InvalidArgument."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{len(data)} bytes are no {kind.__name__}: {error}.") from error


def read_conflict_order(order: Coordinate) -> ConflictOrder | None:
    """None for a message about anything else."""
    if order.verb is not Verb.SYNC:
        return None
    try:
        return decode(order.payload, ConflictOrder)
    except InvalidArgument:
        return None


def fact_payload(fact: Fact) -> bytes:
    """What its origin signs: all of it but who holds it, and the signature itself."""
    return _encode([fact.key, fact.value, fact.origin, fact.strength, fact.stamp])
