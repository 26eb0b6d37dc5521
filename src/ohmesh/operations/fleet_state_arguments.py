"""What the verbs take that change the state of agents: their context, and whether they are on duty."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.context import HASH_BYTES, MARK_BYTES
from ohmesh.model.state_order import (
    MAIN,
    ChangeDuty,
    EditContext,
    FreezeState,
    HealState,
    How,
    MergeBranch,
    Move,
    RestoreContext,
    StateOrder,
    SyncContext,
    ThawState,
    VerifyContext,
)
from ohmesh.model.topology import parse_place
from ohmesh.operations.arguments import Value
from ohmesh.operations.moments import parse_duration_ms
from ohmesh.operations.scopes import where_of

AUTO = "auto"
MAX_TIMEOUT_MS = 60_000

_POSITIONAL = {"positional": True}
_SCOPE = (
    "Whom: all, a sector (s007), a cluster (s007.c04), an agent (s007.c04.a12), or a filter such as "
    "'class=gpu and sector in (3,7)'."
)
_Text = Meta(description=_SCOPE, min_length=1, max_length=2_000, extra=_POSITIONAL)
Scope = Annotated[str, _Text]
ScopeOption = Annotated[str, Meta(description=_SCOPE, min_length=1, max_length=2_000)]
Branch = Annotated[
    str,
    Meta(
        description="Which line of the context; a part of the fleet that tries something has one of its own.",
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
    ),
]


class StateArguments(Struct, frozen=True, kw_only=True):
    """What all of them take beside their scope. what: as an operation; usual: what is asked where no more is said."""

    what: ClassVar[str] = ""
    usual: ClassVar[StateOrder]

    timeout: Annotated[str, Meta(description="Wait so long for answers, as in 10s.", max_length=32)] = "10s"
    quorum: Annotated[
        float, Meta(description="Done once this part of those that were asked is ready.", gt=0, le=1)
    ] = 1.0
    detach: Annotated[bool, Meta(description="Return once it has begun; `ops wait` waits for its end.")] = (
        False
    )
    key: Annotated[
        str,
        Meta(
            description="The same key is the same operation, however often it is asked for.", max_length=200
        ),
    ] = ""

    def __post_init__(self) -> None:
        _ = self.where, self.timeout_ms, self.order()

    @property
    def timeout_ms(self) -> int:
        """Raises InvalidArgument."""
        duration_ms = parse_duration_ms("timeout", self.timeout)
        if not 1 <= duration_ms <= MAX_TIMEOUT_MS:
            raise InvalidArgument(
                f"timeout: {self.timeout!r} is not from 1 ms to {MAX_TIMEOUT_MS // 1000} s.",
                hint="Say detach: it goes on, and `ops wait` follows it.",
            )
        return duration_ms

    @property
    def where(self) -> str:
        """Its scope as a selector. Raises InvalidArgument."""
        return where_of(getattr(self, "scope", "all"))

    def order(self) -> StateOrder:
        """What is asked of each target. Raises InvalidArgument."""
        return self.usual


class FreezeAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "freeze"
    usual: ClassVar[StateOrder] = FreezeState()

    scope: Scope = "all"


class ThawAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "thaw"
    usual: ClassVar[StateOrder] = ThawState()

    scope: Scope = "all"


class DrainAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "drain"
    usual: ClassVar[StateOrder] = ChangeDuty(Duty.DRAINING)

    scope: Scope


class AvoidAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "avoid"
    usual: ClassVar[StateOrder] = ChangeDuty(Duty.QUARANTINED)

    scope: Scope


class ReleaseAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "release"
    usual: ClassVar[StateOrder] = ChangeDuty(Duty.READY)

    scope: Scope


class HealAgents(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "heal"

    target: Annotated[
        str,
        Meta(
            description=f"{_SCOPE} auto: whoever is out of reach, silent, out of work, or holds another context.",
            min_length=1,
            max_length=2_000,
            extra=_POSITIONAL,
        ),
    ] = AUTO
    how: Annotated[
        str,
        Meta(
            description="auto: to each what it needs; restart: the agents; replace: the processes that they live in; "
            "resync: their contexts.",
            extra_json_schema={"enum": [one.value for one in How]},
        ),
    ] = How.AUTO.value
    branch: Branch = MAIN

    @property
    def where(self) -> str:
        return "" if self.target == AUTO else where_of(self.target)

    def order(self) -> StateOrder:
        if self.how not in tuple(How):
            raise InvalidArgument(f"how: {self.how!r} is no way to heal.", hint=f"One of {', '.join(How)}.")
        return HealState(branch=self.branch, how=How(self.how), is_auto=self.target == AUTO)


class SetContext(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "set-context"

    put: Annotated[dict[str, Value], Meta(description="An entry, as name=value.", extra=_POSITIONAL)] = {}
    remove: Annotated[list[str], Meta(description="An entry that is taken away.")] = []
    replace: Annotated[bool, Meta(description="What is given is all that it holds from now on.")] = False
    base: Annotated[
        str,
        Meta(
            description="Refuse where the branch stands at another version than this, as `fleet context` shows it.",
            max_length=2 * HASH_BYTES,
        ),
    ] = ""
    merge: Annotated[
        bool, Meta(description="Who holds another version merges it, instead of being in conflict.")
    ] = False
    branch: Branch = MAIN
    scope: ScopeOption = "all"

    def order(self) -> StateOrder:
        if not self.put and not self.remove and not self.replace:
            raise InvalidArgument("Nothing is to change.", hint="Give name=value, or what to remove.")
        return EditContext(
            put={name: encode_entry(value) for name, value in self.put.items()},
            removed=tuple(self.remove),
            replaced=self.replace,
            branch=self.branch,
            base=version_of_text("base", self.base),
            move=Move.MERGE if self.merge else Move.ADVANCE,
        )


class MergeContext(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "merge-context"

    source: Annotated[
        str, Meta(description="The branch that is merged.", min_length=1, max_length=64, extra=_POSITIONAL)
    ]
    branch: Branch = MAIN
    scope: ScopeOption = "all"

    def order(self) -> StateOrder:
        return MergeBranch(source=self.source, branch=self.branch)


class CheckContext(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "verify-context"

    version: Annotated[
        str,
        Meta(
            description="The version that they have to hold, 16 digits at least; without it the head of the branch.",
            max_length=2 * HASH_BYTES,
        ),
    ] = ""
    branch: Branch = MAIN
    scope: ScopeOption = "all"

    def order(self) -> StateOrder:
        return VerifyContext(version_of_text("version", self.version), self.branch)


class FetchContext(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "sync-context"

    peer: Annotated[
        str,
        Meta(
            description="The agent that has it, as s007.c04.a12.",
            min_length=1,
            max_length=64,
            extra=_POSITIONAL,
        ),
    ]
    scope: ScopeOption = "all"

    def order(self) -> StateOrder:
        return SyncContext(peer=str(parse_place(self.peer)))


class GoBackContext(StateArguments, frozen=True, kw_only=True):
    what: ClassVar[str] = "restore-context"
    usual: ClassVar[StateOrder] = RestoreContext()

    scope: Scope


class ShowContext(Struct, frozen=True, kw_only=True):
    branch: Branch = MAIN
    version: Annotated[
        str,
        Meta(
            description="This one, instead of the head of a branch; 16 digits at least.",
            max_length=2 * HASH_BYTES,
        ),
    ] = ""

    def __post_init__(self) -> None:
        version_of_text("version", self.version)


def version_of_text(name: str, text: str) -> bytes:
    """Raises InvalidArgument unless it is the beginning of a version's name, or empty."""
    try:
        version = bytes.fromhex(text)
    except ValueError:
        version = b"-"
    if text and not MARK_BYTES <= len(version) <= HASH_BYTES:
        raise InvalidArgument(
            f"{name}: {text!r} names no version.",
            hint=f"{2 * MARK_BYTES} to {2 * HASH_BYTES} hexadecimal digits, as `ohmesh fleet context` shows them.",
        )
    return version if text else b""


def encode_entry(value: object) -> bytes:
    """A text is its own bytes, everything else JSON."""
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
