"""What the roles of the fleet say to each other while an operation is under way, and who they are.

    orchestrator --Relay--> coordinators --Relay--> leads --Relay--> the processes whose agents are meant
                 <--Fold---              <--Fold--       <--Fold--

Each body names the tier that it is for, so that one frame carries everything that one process is told in a turn. Bodies
may be lost, come twice and in another order: an operation is known by its id, knowledge of a target only grows, and
what is not heard of is asked for again (Recall).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.fleet_columns import AckColumns, CoordinateColumns, Sector
from ohmesh.model.fleet_message import Count, Id
from ohmesh.model.topology import Topology

MAX_MEMBERS = 100_000

Sectors = Annotated[tuple[Sector, ...], Meta(max_length=1_000)]
Span = tuple[Count, Count]


class Tier(IntEnum):
    """To whom a body goes, and how deep a message is to go for now."""

    MESH = 0
    SECTOR = 1
    CLUSTER = 2
    AGENT = 3


class Member(Struct, array_like=True, frozen=True, tag=121):
    """A process of the fleet presents itself: at first, and whenever the view does not show it as it is.

    spans: (first row, count) of the agents that live in it. incarnation: start of the process, milliseconds."""

    process: Id
    incarnation: Count
    spans: tuple[Span, ...] = ()
    pid: Count = 0
    version: str = ""
    simulated: bool = False


class FleetView(Struct, array_like=True, frozen=True, tag=122):
    """Who is in the fleet: told by the orchestrator when it changes and now and then, and kept in `state`. From it
    everybody computes the same leads and coordinators; `revision` is their term."""

    revision: Count
    era: Count
    orchestrator: Id
    topology: tuple[int, int, int]
    members: Annotated[tuple[Member, ...], Meta(max_length=MAX_MEMBERS)] = ()

    @property
    def shape(self) -> Topology:
        return Topology(*self.topology)


class Relay(Struct, array_like=True, frozen=True, tag=123):
    """A message on its way down. to: the tier that takes it. depth: how far it is to go for now; what goes no further
    is kept until a later Relay of the same operation says so. rate: how many are waited for above."""

    to: Tier
    depth: Tier
    era: Count
    body: CoordinateColumns


class CallOff(Struct, array_like=True, frozen=True, tag=124):
    """Nobody of these sectors is released any more."""

    to: Tier
    operation: Id
    sectors: Sectors


class Recall(Struct, array_like=True, frozen=True, tag=125):
    """Tell everything that you know of this operation in these sectors, once more."""

    to: Tier
    operation: Id
    sectors: Sectors


class Forget(Struct, array_like=True, frozen=True, tag=126):
    """These operations are stored; nobody asks about them again."""

    operations: Annotated[tuple[Id, ...], Meta(max_length=10_000)]


class Fold(Struct, array_like=True, frozen=True, tag=127):
    """What is known, folded together, on its way up: `acks` in their states as TargetState names them, TRANSIT for who
    was asked. clusters: how many of the sector's clusters have taken the message."""

    to: Tier
    operation: Id
    sector: Sector
    clusters: Count = 0
    acks: AckColumns | None = None


class Beat(Struct, array_like=True, frozen=True, tag=128):
    """The process lives; `view`: the revision that it knows."""

    process: Id
    incarnation: Count
    view: Count


class JoinColumns(Struct, array_like=True, frozen=True, tag=129):
    """Who lives in a process: its agents join, or join again. spans: as in Member. class_codes (u1): of each of them,
    in the order of the spans. capability_sets, set_of (u2): what they can do beyond their class, each set once; without
    sets, empty. names: (row, name) of those that their owners named."""

    process: Id
    incarnation: Count
    spans: tuple[Span, ...]
    class_codes: bytes
    profile: str = "agent"
    capability_sets: tuple[tuple[str, ...], ...] = ()
    set_of: bytes = b""
    names: tuple[tuple[Count, str], ...] = ()


class ConflictNotice(Struct, array_like=True, frozen=True, tag=133):
    """To whoever coordinates these sectors: their agents are in a conflict of priority 3 or 4, or it has ended. agents:
    ids of the first of them."""

    conflict: Id
    kind: Id
    priority: Count
    sectors: tuple[Count, ...]
    agents: tuple[Id, ...] = ()
    is_ended: bool = False
    outcome: str = ""


class Respawn(Struct, array_like=True, frozen=True, tag=134):
    """To nodes: let this process of the fleet be started anew, where it is yours to start."""

    process: Id


class Rejoin(Struct, array_like=True, frozen=True, tag=130):
    """The orchestrator does not know some of your agents: let them join again."""

    process: Id
