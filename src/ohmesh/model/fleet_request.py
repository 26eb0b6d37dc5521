"""What is asked of the orchestrator, and its answers: one request, one reply.

An operation is known by the id that its asker made, so that asking again is safe: it is begun once, and who asks again
is told how it stands.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_request import ConflictQuestion
from ohmesh.model.fleet_breaker import BreakerQuestion
from ohmesh.model.fleet_care import CareQuestion, LookAtSector
from ohmesh.model.fleet_failure import AskFailures
from ohmesh.model.fleet_message import Count, Expectation, Id, Timing, Verb
from ohmesh.model.fleet_trend import AskTrend
from ohmesh.model.message import Problem
from ohmesh.model.priority import Priority

REQUEST_VERSION = 1
MAX_LISTED = 1_000
MAX_STATES = 20_000  # of targets in one answer, which has to fit into one message

Rate = Annotated[float, Meta(gt=0, le=1)]
Span = Annotated[float, Meta(gt=0, le=86_400_000)]
Page = Annotated[int, Meta(ge=1, le=MAX_LISTED)]


class StartOperation(Struct, frozen=True, tag="start", kw_only=True):
    """`what`: the word that people asked with (ping, broadcast, ask, cascade). strategy: gather, wave, parallel or
    priority_first. where: a selector of agents; "" is everybody. sample: so many of those, drawn by `seed`; 0 is all.
    percent: in place of a sample so many of a hundred.
    at_ms: T since 1970, in place of a window; 0 is none. dry_run: nothing is begun, the answer has a plan.
    rate: of those that were sent, how many have to be ready; expected: so many are enough, in place of a rate; 0 is
    none. window_ms: from the start to T. expects: NOTHING is content when the message has arrived, ACK when it is done,
    ANSWER wants to hear something. approved: a person wants it although the fleet is degraded. wait: answer only once
    it is decided."""

    operation: Id
    what: str
    verb: Verb = Verb.OBSERVE
    payload: bytes = b""
    strategy: str = "gather"
    where: str = ""
    sample: int = 0
    seed: int = 0
    timing: Timing = Timing.NOW
    window_ms: Span = 500.0
    timeout_ms: Span = 5_000.0
    rate: Rate = 0.95
    weight: Annotated[float, Meta(ge=0, le=100)] = 0.0
    priority: Priority = Priority.NORMAL
    approved: bool = False
    wait: bool = True
    expects: Expectation = Expectation.ACK
    expected: Count = 0
    percent: Annotated[float, Meta(ge=0, le=100)] = 0.0
    at_ms: Annotated[float, Meta(ge=0)] = 0.0
    dry_run: bool = False


class GetOperation(Struct, frozen=True, tag="operation"):
    """`agents`: with the state of each target, MAX_STATES at a time, those behind row `after`."""

    operation: Id
    agents: bool = False
    after: int = -1


class ListOperations(Struct, frozen=True, tag="operations"):
    limit: Page = 100


class ListAgents(Struct, frozen=True, tag="agents"):
    """after: the row of the last one shown. best: in place of a page, those that can take work now and have all that is
    `needed`, the lowest impedance first."""

    where: str = ""
    limit: Page = 100
    after: int = -1
    best: bool = False
    needed: tuple[str, ...] = ()


class ListScopes(Struct, frozen=True, tag="scopes"):
    """Sectors, or the clusters of one sector (-1: of all)."""

    clusters: bool = False
    sector: int = -1


class DescribeFleet(Struct, frozen=True, tag="fleet"):
    pass


class Stage(Struct, frozen=True):
    name: str
    tier: str
    ready: int
    sent: int
    rate_wanted: float
    is_met: bool
    elapsed_ms: float
    budget_ms: float = 0.0


class LeftOut(Struct, frozen=True):
    """needed_ms, available_ms: None where time is not the reason."""

    agent: str
    reason: str
    needed_ms: float | None = None
    available_ms: float | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What an operation would do, as of now. asked: so many. first_ms, last_ms: when the first and the last are sent
    to, from its start. lead_ms: quantiles of what they need, none for a message for now. hit_rate: to be expected of
    those that are asked, by T and a window, or within the timeout. left_out: at most 1,000 of those that are not."""

    asked: int = 0
    first_ms: float = 0.0
    last_ms: float = 0.0
    lead_ms: dict[str, float] = {}
    hit_rate: float = 0.0
    left_out: tuple[LeftOut, ...] = ()


class OperationView(Struct, frozen=True, kw_only=True):
    """One operation as a person asks for it. Counts sum to `targets`; rate is ready of sent, coverage sent of targets.

    outcome: "" while it is under way. elapsed_ms: from the start until it was decided; heard_ms: until the last
    word of an agent, which may be later. decision, advice: of the quorum rules. stragglers: ids of those that
    were asked and are silent, at most 1,000. offsets_ms: quantiles of ready time from T (early is below zero);
    for a message for now, from its start. histogram: (upper bound in ms, how many), of equal widths.
    answers: (answer, how many), the 50 most frequent; answers_omitted: how many gave another; odd: ids of those, at
    most ten, that say what no more than three do while others agree. states, ready_ms:
    of each of `agents`, where they were asked for; after: the row of the last of them where there are more, else -1.
    steps: what the mesh did before agents were asked.
    received: that are known to have it. acknowledged: that have done it, where that was wanted.
    verdict: of what was prepared, commit or abort, and why; acted: how many did, upon a commit, and the hit rate is of
    these; outcome is then what came of the acting, and ABORTED where nobody was to act.
    plan: of a dry run, whose outcome is PLANNED.
    """

    id: str
    what: str
    verb: str
    strategy: str
    timing: str
    where: str
    started_ms: float
    target_ms: float
    outcome: str = ""
    decision: str = ""
    advice: str = ""
    decided_ms: float = 0.0
    elapsed_ms: float = 0.0
    heard_ms: float = 0.0
    targets: int = 0
    sent: int = 0
    ready: int = 0
    conflict: int = 0
    transit: int = 0
    skipped: int = 0
    unreachable: int = 0
    pending: int = 0
    rate: float = 0.0
    rate_wanted: float = 0.95
    coverage: float = 0.0
    hit_rate: float = 0.0
    offsets_ms: dict[str, float] = {}
    histogram: tuple[tuple[float, int], ...] = ()
    answers: tuple[tuple[str, int], ...] = ()
    answers_omitted: int = 0
    odd: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    degraded: tuple[str, ...] = ()
    stragglers: tuple[str, ...] = ()
    skipped_for: dict[str, int] = {}
    simulated: bool = False
    agents: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    ready_ms: tuple[float | None, ...] = ()
    after: int = -1
    expected: int = 0
    received: int = 0
    acknowledged: int = 0
    verdict: str = ""
    verdict_reason: str = ""
    acted: int = 0
    plan: Plan | None = None
    steps: tuple[str, ...] = ()

    @property
    def is_decided(self) -> bool:
        return bool(self.outcome)

    def __str__(self) -> str:
        """One line: how it ended, and what each target that is not ready is."""
        others = {
            "in conflict": self.conflict,
            "silent": self.transit,
            "skipped": self.skipped,
            "out of reach": self.unreachable,
            "not heard of yet": self.pending,
        }
        parts = [f"{self.ready:,} of {self.targets:,} ready"]
        parts += [f"{count:,} {word}" for word, count in others.items() if count]
        parts += ["simulated agents"] if self.simulated else []
        state = f"{self.outcome} after {self.elapsed_ms:.0f} ms" if self.outcome else "under way"
        return f"{self.what} {self.id}: {state}: {', '.join(parts)}"


class OperationsPage(Struct, frozen=True):
    operations: tuple[OperationView, ...]


class GetContext(Struct, frozen=True, tag="context"):
    """The head of a branch, or one version by the beginning of its name."""

    branch: str = "main"
    version: bytes = b""


class HeldContext(Struct, frozen=True):
    """context: its mark, as heartbeats carry it; "" for none."""

    context: str
    agents: int


class ContextView(Struct, frozen=True, kw_only=True):
    """What agents go by. version, parents: names, 64 hexadecimal digits; their first 16 are the mark. entries: as text;
    what is no text is shown with its bytes escaped. branches: where each stands. held: by how many agents, the most
    first, whatever version is shown."""

    version: str
    branch: str = ""
    parents: tuple[str, ...] = ()
    entries: dict[str, str] = {}
    branches: dict[str, str] = {}
    held: tuple[HeldContext, ...] = ()

    @property
    def mark(self) -> str:
        return self.version[:16]

    def __str__(self) -> str:
        name = f"{self.branch} at {self.mark}" if self.branch else self.mark
        return "\n".join([name, *(f"{key}={value}" for key, value in self.entries.items())])


FleetQuestion = (
    StartOperation
    | GetOperation
    | ListOperations
    | ListAgents
    | ListScopes
    | DescribeFleet
    | ConflictQuestion
    | GetContext
    | AskTrend
    | LookAtSector
    | CareQuestion
    | BreakerQuestion
    | AskFailures
)


class Request(Struct, array_like=True, frozen=True):
    version: int
    client: Id
    question: FleetQuestion


Answer = TypeVar("Answer", bound=Struct)

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Request).decode


def encode_request(client: str, question: FleetQuestion) -> bytes:
    return _encode(Request(REQUEST_VERSION, client, question))


def decode_request(data: bytes) -> Request:
    """Raises InvalidArgument."""
    try:
        request = _decode_request(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"A request of {len(data)} bytes cannot be read: {error}.") from error
    if request.version != REQUEST_VERSION:
        raise InvalidArgument(
            f"A request of version {request.version}; this process reads {REQUEST_VERSION}."
        )
    return request


def encode_answer(answer: msgspec.Struct | Problem) -> bytes:
    """[problem or null, answer or null]"""
    return _encode([answer, None] if isinstance(answer, Problem) else [None, answer])


def decode_answer(data: bytes, kind: type[Answer]) -> Answer | Problem:
    """Raises InvalidArgument."""
    try:
        problem, answer = msgspec.msgpack.decode(data, type=tuple[Problem | None, msgspec.Raw])
        found = problem if problem is not None else msgspec.msgpack.decode(answer, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"An answer of {len(data)} bytes cannot be read: {error}.") from error
    return found
