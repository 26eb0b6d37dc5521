"""Names on the bus and in the engine, for one mesh. The hierarchy of subjects is that of docs/wire.md."""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

from ohmesh.errors import InvalidArgument
from ohmesh.model.topology import AgentPlace

MAX_NAME_LENGTH = 64
REMEMBERED_NAMES = 10_000  # every task names its kind, and kinds are few
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


def checked_name(name: str, what: str) -> str:
    """Return `name` when it may stand in a subject, a key or a file name; raise InvalidArgument otherwise."""
    if not is_name(name):
        raise InvalidArgument(
            f"{name!r} is not a valid {what}.",
            hint="Use 1 to 64 letters, digits, '-' and '_', the first one a letter or digit.",
        )
    return name


def is_name(name: str) -> bool:
    """What hosts, kinds and meshes may be called."""
    return len(name) <= MAX_NAME_LENGTH and _is_name(name)


@functools.lru_cache(REMEMBERED_NAMES)
def _is_name(name: str) -> bool:
    return _NAME.match(name) is not None


class FleetPart(StrEnum):
    """What is said to a role of the fleet, each on a subject of its own: orders from above, and from below heartbeats
    (with joins and clock probes) and acks."""

    ORDERS = "do"
    HEARTBEATS = "hb"
    ACKS = "ack"


@dataclass(frozen=True, slots=True)
class Subjects:
    mesh: str

    def __post_init__(self) -> None:
        checked_name(self.mesh, "mesh name")

    def dispatcher(self, shard: int) -> str:
        return f"mesh.{self.mesh}.d.{shard}"

    def host(self, host: str) -> str:
        return f"mesh.{self.mesh}.h.{host}"

    def every_host(self) -> str:
        """Enquire travels here: each host listens to its own subject and to this one."""
        return f"mesh.{self.mesh}.hosts"

    def client(self, client: str) -> str:
        return f"mesh.{self.mesh}.c.{client}"

    def every_client(self) -> str:
        """NewDispatcher travels here: each client listens to its own subject and to this one."""
        return f"mesh.{self.mesh}.clients"

    def historian(self) -> str:
        """Who follows the logs into the ledger also answers questions about what is in there."""
        return f"mesh.{self.mesh}.history"

    def progress(self, task_id: str) -> str:
        """What a running task says of itself; nobody has to listen."""
        return f"mesh.{self.mesh}.p.{task_id}"

    def items(self, task_id: str) -> str:
        """What a streaming task yields; nobody has to listen."""
        return f"mesh.{self.mesh}.i.{task_id}"

    def streams(self, host: str) -> str:
        """Where readers ask a host for items that they lack."""
        return f"mesh.{self.mesh}.s.{host}"

    def webhooks(self) -> str:
        """Who tells webhooks of events also keeps them, and answers for them."""
        return f"mesh.{self.mesh}.webhooks"

    def fleet_process(self, process: str) -> str:
        """One process of the fleet: what any of its roles or agents is told, in one frame for each turn."""
        return f"mesh.{self.mesh}.f.{process}"

    def fleet_door(self, process: str) -> str:
        """What one process of the fleet is asked, and answers."""
        return f"mesh.{self.mesh}.f.{process}.ask"

    def every_fleet_process(self) -> str:
        """What the orchestrator tells everybody at once."""
        return f"mesh.{self.mesh}.fleet"

    def respawns(self) -> str:
        """What nodes hear about processes beside them that are to be started anew."""
        return f"mesh.{self.mesh}.fleet.respawn"

    def fleet_questions(self) -> str:
        """Requests of clients to the orchestrator."""
        return f"mesh.{self.mesh}.fleet.ask"

    def fleet_reads(self) -> str:
        """Questions that any node can answer from its replica of the registry: one of them hears each."""
        return f"mesh.{self.mesh}.fleet.read"

    def fleet_changes(self, process: str = "") -> str:
        """What changes in the registry, for all who follow it; or, for one of them, what it lacks."""
        return f"mesh.{self.mesh}.fleet.rows{f'.{process}' if process else ''}"

    def heard(self, process: str) -> str:
        """What of the numbered frames of `process` has arrived is said here."""
        return f"mesh.{self.mesh}.f.{process}.heard"

    def orchestrator(self, part: FleetPart = FleetPart.ORDERS) -> str:
        return f"mesh.{self.mesh}.o.{part}"

    def sector(self, sector: int, part: FleetPart = FleetPart.ORDERS) -> str:
        """Where the coordinator of a sector hears. Five words, so it is nobody's stream (`streams` has four)."""
        return f"mesh.{self.mesh}.s.{sector}.{part}"

    def cluster(self, sector: int, cluster: int, part: FleetPart = FleetPart.ORDERS) -> str:
        """Where the lead of a cluster hears."""
        return f"mesh.{self.mesh}.s.{sector}.c.{cluster}.{part}"

    def every_cluster(self, part: FleetPart) -> str:
        """What is said to the leads of all clusters: for who listens for agents with a connection of their own."""
        return f"mesh.{self.mesh}.s.*.c.*.{part}"

    def agent(self, place: AgentPlace) -> str:
        """One agent that has a connection of its own."""
        sector, cluster, number = place
        return f"mesh.{self.mesh}.s.{sector}.c.{cluster}.a.{number}"

    def log(self, shard: int) -> str:
        """Name of the shard's log, as the log port takes it."""
        return f"{self.mesh}-shard-{shard}"

    def trend_log(self, step_ms: int) -> str:
        """Name of the log of one ring of the fleet's trends, as the log port takes it."""
        return f"{self.mesh}-trend-{step_ms}"

    def conflict_log(self) -> str:
        """Name of the log of the fleet's conflicts, as the log port takes it."""
        return f"{self.mesh}-conflicts"


def shard_of(kind: str, shards: int) -> int:
    """The one shard that decides for `kind` (CRC-32, so that every language finds the same)."""
    return zlib.crc32(kind.encode()) % shards
