"""What processes of the fleet say to each other about contexts: one lacks a version, another has it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.context import HASH_BYTES, MARK_BYTES, ContextVersion, Hash
from ohmesh.model.fleet_message import Id

MAX_TOLD = 1_000
MAX_HELD = 100

Name = Annotated[bytes, Meta(min_length=MARK_BYTES, max_length=HASH_BYTES)]


class AskContext(Struct, array_like=True, frozen=True, tag=131):
    """`process` lacks `version`, of whose name it knows the first 8 bytes at least; it holds `have` and their past."""

    process: Id
    version: Name
    have: Annotated[tuple[Hash, ...], Meta(max_length=MAX_HELD)] = ()


class GiveContext(Struct, array_like=True, frozen=True, tag=132):
    """asked: the name as the asker knew it. version: the whole of it, and empty where it is not known here either.
    versions: those that the asker lacks of its past, parents first, itself the last. content: of `version`."""

    asked: Name
    version: Annotated[bytes, Meta(max_length=HASH_BYTES)] = b""
    versions: Annotated[tuple[ContextVersion, ...], Meta(max_length=MAX_TOLD)] = ()
    content: bytes = b""
