"""Why a task is where it is: the question to the dispatcher of its shard, and its answer.

They travel as the messages of message.py do: tagged, extended at their ends only.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from ohmesh.model.limit import LimitStanding
from ohmesh.model.task import TaskView


class Verdict(StrEnum):
    """What a dispatcher thinks of one agent for one task."""

    HOLDS = "holds it"
    ELIGIBLE = "eligible"
    NO_FREE_SLOT = "no free slot"
    CAPABILITY_MISSING = "capability missing"
    OFF_DUTY = "off duty"  # draining, quarantined, frozen or degraded
    NOT_HEARD_YET = "not heard yet"  # it has not reported to this dispatcher, which is new
    OFFLINE = "offline"
    OTHER_KIND = "other kind"
    DEAF = "does not hear"  # it reports, and what it is told does not reach it


class AgentVerdict(Struct, array_like=True, frozen=True):
    """`missing`: capabilities that the task requires and the agent lacks. `turn`: 1 is served next, 0 has none."""

    agent: str
    kind: str
    verdict: Verdict
    running: int = 0
    slots: int = 0
    missing: tuple[str, ...] = ()
    turn: int = 0
    duty: str = ""
    last_seen_ms: int = 0


class Explain(Struct, array_like=True, frozen=True, gc=False, tag=53):
    task_id: str


class Explanation(Struct, array_like=True, frozen=True, tag=54):
    """`task` is None where this shard does not hold it; then nothing else counts.

    ready_ms: since when it could start, as its rank counts it; in the future for one that is delayed. rank: among what
        waits of its kind, higher starts first. ahead: priority -> tasks that start before it, counted up to a bound;
        `is_counted_up` says whether that was enough.
    agents: those of its kind first; `agents_omitted` more are not named.
    limit: that of its kind, and whether it holds the task back.
    order, placing: the policies that decide which task is next and which agent gets it, in words.
    """

    task: TaskView | None
    mesh_ms: int = 0
    ready_ms: int = 0
    rank: float = 0.0
    ahead: dict[int, int] = {}
    is_counted_up: bool = True
    paused_ms: int = 0
    granted_ms: int = 0
    timeout_ms: int = 0
    losses: int = 0
    requires: tuple[str, ...] = ()
    agents: list[AgentVerdict] = []
    agents_omitted: int = 0
    order: str = ""
    placing: str = ""
    limit: LimitStanding | None = None
