"""What is said in the fleet, one message each; for many agents in one body see `fleet_columns`.

    down   Coordinate, Circuit, Freeze     orders; each opens with a MessageHead
    up     Join, Heartbeat, Ack            what an agent, or its host for it, says of itself
    both   ClockProbe, ClockEcho           four timestamps for the offset between two clocks
           FramesHeard                     what of a numbered flow of frames has arrived

Times named `..._us` are mesh time (the orchestrator's clock) in microseconds since 1970, spans `..._ms` are
milliseconds, `stamp` and `created` are hybrid stamps (hybrid_time). Like every message they are MessagePack arrays
whose first item is the tag, extended only at the end, and the same arrays in JSON, where bytes are base 64.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.hybrid_time import COUNTER_BITS
from ohmesh.model.priority import Priority

DEFAULT_TTL_MS = 30_000
MAX_ID_LENGTH = 128

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Span = Annotated[
    float, Meta(ge=0, le=1e12)
]  # milliseconds; bounds refuse infinity and what is no number, too
Share = Annotated[float, Meta(ge=0, le=1)]
Id = Annotated[str, Meta(max_length=MAX_ID_LENGTH)]
ContextHash = Annotated[bytes, Meta(max_length=8)]
Digest = Annotated[bytes, Meta(max_length=32)]


class Strategy(StrEnum):
    """How the targets of an order are reached."""

    DIRECT = "direct"
    BROADCAST = "broadcast"
    SCATTER_GATHER = "scatter-gather"
    PIPELINE = "pipeline"


class Verb(StrEnum):
    """What the targets are to do with the payload."""

    OBSERVE = "observe"
    ORIENT = "orient"
    DECIDE = "decide"
    ACT = "act"
    RECORD = "record"
    SYNC = "sync"


class Expectation(StrEnum):
    """What the sender waits for from each target."""

    NOTHING = "nothing"
    ACK = "ack"
    ANSWER = "answer"


class Timing(StrEnum):
    """NOW: act on receipt. LEAD: released at T minus the lead, act on receipt. HOLD: sent early, wait until T.
    PREPARE: as HOLD, but report READY at once and act only when the commit says so."""

    NOW = "now"
    LEAD = "lead"
    HOLD = "hold"
    PREPARE = "prepare"


class TargetState(IntEnum):
    """Of one target of an operation: the trinary states, and two for those that were never asked."""

    CONFLICT = -1
    TRANSIT = 0
    READY = 1
    SKIPPED = 2
    UNREACHABLE = 3


class CircuitAction(StrEnum):
    OPEN = "open"
    HALF_OPEN = "half_open"
    CLOSE = "close"


class Scope(StrEnum):
    """How much of the fleet an order is about; its target is an id of that: "", `s007`, `s007.c04`, `s007.c04.a12`."""

    ALL = "all"
    SECTOR = "sector"
    CLUSTER = "cluster"
    AGENT = "agent"


class MessageHead(Struct, array_like=True, frozen=True, gc=False):
    """Who says it, why, and for how long it is worth hearing.

    id: unique for its source; saying it again with the same id changes nothing.
    correlation_id: the operation that it belongs to. causation_id: the message that it answers or follows from.
    """

    id: Id
    source: Id
    created: Count
    ttl_ms: Count = DEFAULT_TTL_MS
    priority: Priority = Priority.NORMAL
    correlation_id: Id = ""
    causation_id: Id = ""

    def is_expired(self, now_ms: int) -> bool:
        """Whether it is past its time. Who knows mesh time with an error gives the earliest that it may be."""
        return (self.created >> COUNTER_BITS) + self.ttl_ms < now_ms


class Coordinate(Struct, array_like=True, frozen=True, gc=False, tag=101):
    """Do `verb` with `payload`, and be ready at `target_us` (0: as soon as it arrives).

    payload_hash: SHA-256 of the payload; without a payload it may be empty.
    targets: ids of agents; empty for every agent behind the subject. weight: 0 (trivial) to 1, and beyond.
    compensation_ms: the lead of each target; empty where whoever releases the message knows it better.
    """

    head: MessageHead
    verb: Verb
    target_us: Count = 0
    timing: Timing = Timing.NOW
    payload: bytes = b""
    payload_hash: Digest = b""
    targets: tuple[Id, ...] = ()
    compensation_ms: tuple[Span, ...] = ()
    strategy: Strategy = Strategy.BROADCAST
    weight: Span = 0.0
    requires: tuple[str, ...] = ()
    expects: Expectation = Expectation.ACK

    def is_whole(self) -> bool:
        """Whether the payload is the one that was hashed."""
        if not self.payload and not self.payload_hash:
            return True
        return sha256(self.payload).digest() == self.payload_hash


class Circuit(Struct, array_like=True, frozen=True, gc=False, tag=102):
    """A breaker has changed: OPEN routes nothing there, HALF_OPEN a trial quota, CLOSE everything again."""

    head: MessageHead
    action: CircuitAction
    scope: Scope
    target: str = ""
    reason: str = ""


class Freeze(Struct, array_like=True, frozen=True, gc=False, tag=103):
    """Stop, and keep your state under `kept_at` (a place of the receiver's own naming where it is empty); with `thaw`
    the opposite: load it from there and go on."""

    head: MessageHead
    scope: Scope
    target: str = ""
    kept_at: str = ""
    thaw: bool = False


class Join(Struct, array_like=True, frozen=True, gc=False, tag=104):
    """An agent is there: said before its first heartbeat, after a reconnect, and when asked.

    agent_class: the letter of its class. incarnation: start of its process, milliseconds; a higher one is another life.
    key_id: of its identity, where it has one."""

    agent: Id
    agent_class: Id
    capabilities: tuple[str, ...] = ()
    incarnation: Count = 0
    name: str = ""
    key_id: bytes = b""


class Activity(Struct, array_like=True, frozen=True, gc=False):
    """What an agent does, since when, and what it waits for."""

    task: str
    since_us: Count
    waits_on: str = ""


class Heartbeat(Struct, array_like=True, frozen=True, gc=False, tag=105):
    """The impedance of one agent as it measures it; None where nothing was measured yet.

    rtt_ms: median round trip to its lead, by its own monotonic clock. processing_ms: mean of what it did lately.
    reliability: part of what it did in the last hour that succeeded. drift: coefficient of variation of its latency.
    context_hash: the first 8 bytes of the hash of its context; empty where it has none.
    """

    agent: Id
    rtt_ms: Span | None = None
    processing_ms: Span | None = None
    queue_depth: Count = 0
    reliability: Share | None = None
    drift: Span | None = None
    liveness: Liveness = Liveness.ACTIVE
    duty: Duty = Duty.READY
    context_hash: ContextHash = b""
    activity: Activity | None = None


class ReportedConflict(Struct, array_like=True, frozen=True, gc=False):
    """Why a target answers CONFLICT. `kind`: context_divergence, data_contradiction, temporal_paradox,
    capability_mismatch, hash_mismatch, or a word of the agent's own."""

    kind: str
    expected: str = ""
    received: str = ""
    data: bytes = b""
    context_hash: ContextHash = b""
    divergence_depth: Count = 0
    affected_agents: Count = 1


class Ack(Struct, array_like=True, frozen=True, gc=False, tag=106):
    """One target's answer to one message. arrived_us, ready_us: mesh time as the agent knows it; ready_us is the time
    when it had done what was asked, 0 while it has not. answer: what an `ask` wants to hear."""

    message_id: Id
    agent: Id
    arrived_us: Count
    processing_ms: Span
    state: TargetState
    ready_us: Count = 0
    answer: bytes = b""
    conflict: ReportedConflict | None = None


class ClockProbe(Struct, array_like=True, frozen=True, gc=False, tag=107):
    """`sent_us`: the local clock of whoever asks, at sending, any origin; it comes back as it is.

    trip_us, error_us: what the asker last knew: its round trip and the bound of its own error; -1 before that."""

    sent_us: int
    incarnation: Count
    trip_us: int = -1
    error_us: int = -1


class ClockEcho(Struct, array_like=True, frozen=True, gc=False, tag=108):
    """received_us, answered_us: mesh time as the answering side knows it, wrong by at most `error_us` (0 at the
    orchestrator). incarnation: of the answering side's clock; another one starts the measuring anew.
    era: term of the orchestrator whose clock it follows."""

    sent_us: int
    received_us: Count
    answered_us: Count
    incarnation: Count
    era: Count = 0
    error_us: Count = 0


class FramesHeard(Struct, array_like=True, frozen=True, gc=False, tag=109):
    """Of the frames that `sender` numbered in this life (`term`) for `flow`, its subject: all up to `through` have
    arrived or will never be there, and of those up to `highest` all but the `missing` ones, which are sent again."""

    sender: Id
    term: Count
    flow: str
    through: Count
    highest: Count = 0
    missing: tuple[Count, ...] = ()


Order = Coordinate | Circuit | Freeze


def hash_payload(payload: bytes) -> bytes:
    """SHA-256: every language has it."""
    return sha256(payload).digest()
