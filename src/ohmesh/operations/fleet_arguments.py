"""What the verbs about a fleet take; the conventions are those of `arguments.py`.

Durations of an operation are below a second as often as above it, so they are texts with a unit.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Expectation, Timing, Verb
from ohmesh.model.fleet_request import MAX_LISTED
from ohmesh.model.priority import parse_priority
from ohmesh.operations.arguments import DEFAULT_WAIT_S, Seconds
from ohmesh.operations.fleet_terms import (
    DEFAULT_TIMEOUT_MS,
    DEFAULT_WINDOW_MS,
    MAX_AGENTS,
    PING_TIMEOUT_MS,
    POSITIONAL,
    TIMINGS,
    Approved,
    At,
    DryRun,
    Expect,
    Filter,
    Key,
    OperationId,
    Percent,
    PriorityOfWish,
    Quorum,
    RequireAck,
    Sample,
    Seed,
    Timeout,
    TimingName,
    Window,
    check_selector,
)
from ohmesh.operations.moments import parse_duration_ms, parse_instant_ms
from ohmesh.operations.parameter import parse_arguments

MAX_MESSAGE = 16_384
MAX_DURATION_MS = 86_400_000
LEAST_PREPARE_MS = 150
STRATEGIES = ("wave", "parallel", "priority_first")


class OperationArguments(Struct, frozen=True, kw_only=True):
    """What every operation takes. `what`, `verb`: of the class; `payload`, `expects`, `strategy`: of one wish."""

    what: ClassVar[str] = ""
    verb: ClassVar[Verb] = Verb.ACT
    usual_timeout_ms: ClassVar[int] = DEFAULT_TIMEOUT_MS

    filter: Filter = ""
    seed: Seed = 0
    timing: TimingName = ""
    window: Window = ""
    at: At = ""
    timeout: Timeout = ""
    percent: Percent = 0.0
    dry_run: DryRun = False
    quorum: Quorum = 0.95
    expect: Expect = 0
    priority: PriorityOfWish = "NORMAL"
    approved: Approved = False
    detach: Annotated[bool, Meta(description="Return once it has begun; `ops wait` waits for its end.")] = (
        False
    )
    key: Key = ""

    def __post_init__(self) -> None:
        check_selector(self.filter)
        parse_priority(self.priority)
        if self.timing not in TIMINGS:
            raise InvalidArgument(
                f"timing: {self.timing!r} is no way to be on time.", hint=f"One of {', '.join(TIMINGS[1:])}."
            )
        if self.window and self.at:
            raise InvalidArgument("at: a window says T already.", hint="Give one of both.")
        if (self.window or self.at) and self.timing == Timing.NOW:
            raise InvalidArgument(
                "window: what is done now has no T.", hint="Say --timing hold or lead, or no window."
            )
        if b"\0" in self.payload:  # orders of the mesh itself begin with a word and one of these
            raise InvalidArgument("message: a text has no character of code 0.")
        if self.how is not Timing.NOW and not self.at_ms and self.window_ms > self.timeout_ms:
            raise InvalidArgument(
                f"timeout: {self.timeout_ms} ms is shorter than the window of {self.window_ms} ms.",
                hint="Answers come after T: give a longer timeout, or none.",
            )

        self._check_prepare()

    def _check_prepare(self) -> None:
        if self.how is not Timing.PREPARE:
            return
        if self.verb is not Verb.ACT or self.plan != "gather":
            raise InvalidArgument(
                f"timing: a {self.what} is not prepared for.", hint="Broadcast what is to be done or not."
            )
        if not self.at_ms and self.window_ms <= LEAST_PREPARE_MS:
            raise InvalidArgument(
                f"window: in {self.window_ms} ms nobody can prepare and hear the verdict.",
                hint=f"More than {LEAST_PREPARE_MS}ms.",
            )

    @property
    def how(self) -> Timing:
        """The timing that is meant."""
        return Timing(self.timing or (Timing.HOLD if self.window or self.at else Timing.NOW))

    @property
    def at_ms(self) -> int:
        """T since 1970; 0 where it is said as a span from now, or not at all."""
        return parse_instant_ms("at", self.at) if self.at and not self.at.startswith("+") else 0

    @property
    def window_ms(self) -> int:
        if self.at.startswith("+"):
            return _duration_ms("at", self.at[1:])
        return _duration_ms("window", self.window) if self.window else DEFAULT_WINDOW_MS

    @property
    def timeout_ms(self) -> int:
        if self.timeout:
            return _duration_ms("timeout", self.timeout)
        return max(self.usual_timeout_ms, 2 * self.window_ms if self.how is not Timing.NOW else 0)

    @property
    def where(self) -> str:
        return self.filter

    @property
    def drawn(self) -> int:
        """So many of them, 0 for all."""
        return int(getattr(self, "sample", 0))

    @property
    def payload(self) -> bytes:
        return b""

    @property
    def expects(self) -> Expectation:
        return Expectation.ACK

    @property
    def plan(self) -> str:
        """The strategy of the operation."""
        return "gather"


class Ping(OperationArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "ping"
    verb: ClassVar[Verb] = Verb.OBSERVE
    usual_timeout_ms: ClassVar[int] = PING_TIMEOUT_MS

    sample: Sample = 0
    quorum: Annotated[float, Meta(description="Done once this part has answered.", gt=0, le=1)] = 1.0


class Broadcast(OperationArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "broadcast"

    message: Annotated[
        str,
        Meta(description="What they are told.", min_length=1, max_length=MAX_MESSAGE, extra=POSITIONAL),
    ]
    sample: Sample = 0
    require_ack: RequireAck = False
    priority: PriorityOfWish = "HIGH"

    @property
    def payload(self) -> bytes:
        return self.message.encode()

    @property
    def expects(self) -> Expectation:
        return Expectation.ACK if self.require_ack or self.how is not Timing.NOW else Expectation.NOTHING


class Ask(OperationArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "ask"
    verb: ClassVar[Verb] = Verb.OBSERVE

    question: Annotated[
        str,
        Meta(description="What they are asked.", min_length=1, max_length=MAX_MESSAGE, extra=POSITIONAL),
    ]
    sample_size: Annotated[
        int,
        Meta(
            description="Ask so many of them, drawn by chance; 0: all.",
            ge=0,
            le=MAX_AGENTS,
            extra={"option": "--sample"},
        ),
    ] = 100
    capability_filter: Annotated[
        str,
        Meta(
            description="Only those that can do this, by their class or beyond it; several: all of them, with commas.",
            max_length=1_000,
            extra={"option": "--capability"},
        ),
    ] = ""
    quorum: Annotated[float, Meta(description="Done once this part has answered.", gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_selector(self.where)

    @property
    def drawn(self) -> int:
        return self.sample_size

    @property
    def where(self) -> str:
        names = [name.strip() for name in self.capability_filter.split(",") if name.strip()]
        tests = [f'capability="{name}"' for name in names]
        if not tests:
            return self.filter
        return " and ".join([*tests, f"({self.filter})"] if self.filter else tests)

    @property
    def payload(self) -> bytes:
        return self.question.encode()

    @property
    def expects(self) -> Expectation:
        return Expectation.ANSWER


class Cascade(Broadcast, frozen=True, kw_only=True):
    what: ClassVar[str] = "cascade"

    strategy: Annotated[
        str,
        Meta(
            description="wave: sectors, then clusters, then agents; parallel: all at once; priority_first: class by "
            "class.",
            extra_json_schema={"enum": list(STRATEGIES)},
        ),
    ] = "wave"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strategy not in STRATEGIES:
            raise InvalidArgument(
                f"strategy: there is no strategy {self.strategy!r}.", hint=f"One of {', '.join(STRATEGIES)}."
            )

    @property
    def plan(self) -> str:
        return self.strategy


KINDS: dict[str, type[OperationArguments]] = {one.what: one for one in (Ping, Broadcast, Ask, Cascade)}
_SHARED = (
    *("filter", "seed", "timing", "window", "at", "timeout", "percent", "dry_run"),
    *("expect", "priority", "approved", "key"),
)


class StartOne(Struct, frozen=True, kw_only=True):
    """Any of the four by its name. What is not given is as its own verb has it."""

    what: Annotated[
        str, Meta(description="What to do.", extra=POSITIONAL, extra_json_schema={"enum": list(KINDS)})
    ]
    message: Annotated[
        str, Meta(description="What they are told or asked; a ping says nothing.", max_length=MAX_MESSAGE)
    ] = ""
    filter: Filter = ""
    sample: Annotated[
        int, Meta(description="Only so many of them; 0: all; -1: as usual.", ge=-1, le=MAX_AGENTS)
    ] = -1
    seed: Seed = 0
    timing: TimingName = ""
    window: Window = ""
    at: At = ""
    timeout: Timeout = ""
    percent: Percent = 0.0
    dry_run: DryRun = False
    quorum: Annotated[float, Meta(description="Done once this part is ready; 0: as usual.", ge=0, le=1)] = 0.0
    expect: Expect = 0
    ack: Annotated[bool, Meta(description="Of a broadcast or cascade: wait until each has done it.")] = False
    strategy: Annotated[
        str, Meta(description="Of a cascade.", extra_json_schema={"enum": ["", *STRATEGIES]})
    ] = ""
    priority: PriorityOfWish = "NORMAL"
    approved: Approved = False
    key: Key = ""
    wait_s: Annotated[Seconds, Meta(description="Wait so long until it is decided.")] = 0.0

    def __post_init__(self) -> None:
        self.wish()

    def wish(self) -> OperationArguments:
        """The same as its own verb takes it. Raises InvalidArgument."""
        kind = KINDS.get(self.what)
        if kind is None:
            raise InvalidArgument(
                f"what: there is no operation {self.what!r}.", hint=f"One of {', '.join(KINDS)}."
            )
        said = msgspec.structs.asdict(self)
        values = {name: said[name] for name in _SHARED}
        unusual = {"sample": -1, "quorum": 0.0, "message": "", "ack": False, "strategy": ""}
        values |= {name: said[name] for name, usual in unusual.items() if said[name] != usual}
        names = {"message": "question", "sample": "sample_size"} if kind is Ask else {"ack": "require_ack"}
        values = {names.get(name, name): value for name, value in values.items()}
        return parse_arguments(kind, {**values, "detach": True}, strict=True)


class OneOperation(Struct, frozen=True, kw_only=True):
    operation_id: OperationId
    agents: Annotated[bool, Meta(description="With every target and its state, the silent ones too.")] = False


class WaitOperation(Struct, frozen=True, kw_only=True):
    operation_id: OperationId
    wait_s: Annotated[Seconds, Meta(description="Give up waiting after this long.")] = DEFAULT_WAIT_S


class ListOperations(Struct, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_LISTED)] = 20


class FleetStatus(Struct, frozen=True, kw_only=True):
    pass


class ListFleetAgents(Struct, frozen=True, kw_only=True):
    filter: Filter = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_LISTED)] = 100
    after: Annotated[str, Meta(description="Go on behind the page that named this.", max_length=20)] = ""

    def __post_init__(self) -> None:
        check_selector(self.filter)
        if self.after and not (self.after.isascii() and self.after.isdigit()):
            raise InvalidArgument(
                f"after: {self.after!r} is no cursor.", hint="Take it from the page before, as it is."
            )


class BestAgents(Struct, frozen=True, kw_only=True):
    capabilities: Annotated[
        list[str], Meta(description="What each of them can do, all of it.", max_length=100, extra=POSITIONAL)
    ] = []
    filter: Filter = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_LISTED)] = 500

    def __post_init__(self) -> None:
        check_selector(self.filter)


class ListSectors(Struct, frozen=True, kw_only=True):
    pass


class ListClusters(Struct, frozen=True, kw_only=True):
    sector: Annotated[int, Meta(description="Of this sector only; -1: of all.", ge=-1, le=999)] = -1


def _duration_ms(name: str, text: str) -> int:
    duration_ms = parse_duration_ms(name, text)
    if not 1 <= duration_ms <= MAX_DURATION_MS:
        raise InvalidArgument(f"{name}: {text!r} is not from 1 ms to a day.")
    return duration_ms
