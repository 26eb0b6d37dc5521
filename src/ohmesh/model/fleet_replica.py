"""What the orchestrator and those who keep a replica of its registry say to each other."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.model.fleet_message import Id


class Changes(Struct, array_like=True, frozen=True, tag=141):
    """Rows that have changed (`data`, as `ohmesh.registry.fleet.replica` has it); without any, a sign of life.

    mode: of the fleet, by name."""

    data: bytes
    mode: str = ""


class Follow(Struct, array_like=True, frozen=True, tag=142):
    """`process` keeps a replica and has come to this version of this term, or has nothing (-1): tell what it lacks."""

    process: Id
    term: int = -1
    version: int = -1
