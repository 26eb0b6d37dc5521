"""What processes of the fleet say to each other about contexts: one lacks a version, another has it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.context import HASH_BYTES, ContextVersion, Hash
from ohmesh.model.fleet_message import Id

MAX_TOLD = 1_000
MAX_HELD = 100


class AskContext(Struct, array_like=True, frozen=True, tag=131):
    """`process` lacks `version`; it holds the versions `have` and their past."""

    process: Id
    version: Hash
    have: Annotated[tuple[Hash, ...], Meta(max_length=MAX_HELD)] = ()


class GiveContext(Struct, array_like=True, frozen=True, tag=132):
    """versions: those that the asker lacks of `version` and its past, parents first; empty where it is not known here
    either. content: of `version`."""

    version: Annotated[bytes, Meta(max_length=HASH_BYTES)]
    versions: Annotated[tuple[ContextVersion, ...], Meta(max_length=MAX_TOLD)] = ()
    content: bytes = b""
