"""What procedures ask of the fleet beside operations: a look from elsewhere, a process given up, places for agents.

LookAtSector is answered by a node from its replica, ReplaceProcess and PlanPlaces by the orchestrator, AreYouThere and
Grow by the process that they are sent to.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Count, Id

MAX_ADDED = 100_000

Span = tuple[Count, Count]
Spans = Annotated[tuple[Span, ...], Meta(max_length=MAX_ADDED)]


class LookAtSector(Struct, frozen=True, tag="look_at_sector"):
    sector: Count


class Sight(Struct, frozen=True):
    """A process that has to do with a sector: coordinates it, leads so many of its clusters, so many agents live there.
    answered_ms: how long it took to answer the node; None: it is silent."""

    process: str
    coordinates: bool
    leads: int
    agents: int
    answered_ms: float | None


class SectorSight(Struct, frozen=True):
    """node: who looked. is_elsewhere: not the node that holds the role of the orchestrator."""

    node: str
    is_elsewhere: bool
    sights: tuple[Sight, ...] = ()


class ReplaceProcess(Struct, frozen=True, tag="replace_process"):
    """Give it up now: its roles go to others. When it is heard of again, it joins again."""

    process: Id


class Replaced(Struct, frozen=True):
    """was_there: False where it had been given up already. view: from which on others have its roles."""

    process: str
    was_there: bool
    view: int


class PlanPlaces(Struct, frozen=True, tag="plan_places"):
    """Places for so many agents; the same key gets the same places."""

    key: Id
    agents: Annotated[int, Meta(ge=1, le=MAX_ADDED)]


class PlacesPlan(Struct, frozen=True):
    """spans: (first row, count). filled, created: how many clusters had somebody, or nobody. hosts: the processes in
    which simulated agents can be started."""

    spans: Spans
    filled: int
    created: int
    sectors: int
    hosts: tuple[str, ...] = ()


class AreYouThere(Struct, frozen=True, tag="are_you_there"):
    pass


class StillHere(Struct, frozen=True):
    process: str


class Grow(Struct, frozen=True, tag="grow"):
    """Start simulated agents at these places; those that live here already stay as they are."""

    spans: Spans


CareQuestion = ReplaceProcess | PlanPlaces
ProcessQuestion = AreYouThere | Grow

_decode = msgspec.msgpack.Decoder(ProcessQuestion).decode


def encode_process_question(question: ProcessQuestion) -> bytes:
    return msgspec.msgpack.encode(question)


def decode_process_question(data: bytes) -> ProcessQuestion:
    """Raises InvalidArgument."""
    try:
        question: ProcessQuestion = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(
            f"A question of {len(data)} bytes to a process cannot be read: {error}."
        ) from error
    return question
