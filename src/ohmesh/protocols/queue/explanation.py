"""Why a task is where it is, told from what decides it: the lanes, the fleet, and placement's own test of an agent.

Nothing is decided or changed here. A question costs a bounded time however much waits: tasks ahead are counted up to
COUNTED_TASKS, agents named up to NAMED_AGENTS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.envelope import parts_of
from ohmesh.model.explanation import AgentVerdict, Explanation, Verdict
from ohmesh.protocols.queue.fleet import AgentSlots, offers_of
from ohmesh.protocols.queue.placement import Obstacle, obstacle
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_view import view
from ohmesh.protocols.queue.waiting import Lane, in_order, is_waiting, ready_ms

COUNTED_TASKS = 20_000
NAMED_AGENTS = 100


def _to_explain(shard: Shard, task_id: str) -> Task | None:
    """An item that is no task of its own stands where its envelope does."""
    table = shard.table
    is_held = table.find(task_id) is not None
    parts = parts_of(task_id) if is_held and not table.holds(task_id) else None
    return table.whole(parts[0] if parts is not None else task_id)


def explain(shard: Shard, task_id: str, now_ms: int) -> Explanation:
    """What this shard knows of it; `task` is None where it does not hold it."""
    task = _to_explain(shard, task_id)
    if task is None:
        return Explanation(None)
    at_ms = shard.advance(now_ms)
    waits = is_waiting(task)
    ahead, is_counted_up = _ahead(shard, task, at_ms) if waits else ({}, True)
    named = list(islice(_verdicts(shard, task), NAMED_AGENTS))
    return Explanation(
        task=view(task, shard.max_attempts(task)),
        mesh_ms=at_ms,
        ready_ms=ready_ms(task),
        rank=shard.policies.rank(task.submission.priority, ready_ms(task), at_ms) if waits else 0.0,
        ahead=ahead,
        is_counted_up=is_counted_up,
        paused_ms=shard.table.paused.get(task.submission.kind, 0),
        granted_ms=task.granted_ms,
        timeout_ms=task.timeout_ms,
        losses=task.losses,
        requires=task.submission.requires,
        agents=named,
        agents_omitted=len(shard.fleet.agents) + sum(1 for _ in _away(shard)) - len(named),
        order=shard.policies.rank_in_words,
        placing=shard.policies.share_in_words,
        limit=shard.buckets.standing(task.submission.kind, at_ms, waits=waits),
    )


def _ahead(shard: Shard, task: Task, at_ms: int) -> tuple[dict[int, int], bool]:
    """How many start before it, by priority, of those that compete for the same agents."""
    lane = shard.waiting.lane_of(task)
    if lane is None or shard.waiting.is_delayed(task):
        return {}, True
    ahead: Counter[int] = Counter()
    for other in islice(in_order(_rivals(shard, lane), at_ms), COUNTED_TASKS):
        if other.minus_order == -task.order:
            return dict(ahead), True
        ahead[other.priority] += 1
    return dict(ahead), False


def _rivals(shard: Shard, lane: Lane) -> list[Lane]:
    """The lanes of its kind that share an agent with this one, itself among them."""
    capable = {
        agent.offers
        for agent in shard.fleet.agents.values()
        if agent.spec.kind == lane.kind and lane.requires.issubset(agent.offers)
    }
    return [
        other
        for other in shard.waiting.lanes(lane.kind)
        if other is lane or any(map(other.requires.issubset, capable))
    ]


def _verdicts(shard: Shard, task: Task) -> Iterator[AgentVerdict]:
    """Agents of its kind, those that are heard of first, then those of other kinds."""
    kind = task.submission.kind
    live = shard.fleet.agents
    turns = {agent.spec.agent: turn for turn, agent in enumerate(shard.fleet.offered(kind) or (), 1)}
    own = [agent for agent in live.values() if agent.spec.kind == kind]
    others = (agent for agent in live.values() if agent.spec.kind != kind)
    return chain(
        (_of_live(agent, task, turns.get(agent.spec.agent, 0)) for agent in own),
        (_of_absent(spec, task) for spec in _away(shard) if spec.kind == kind),
        (_of_live(agent, task, 0) for agent in others),
        (_of_absent(spec, task) for spec in _away(shard) if spec.kind != kind),
    )


def _of_live(agent: AgentSlots, task: Task, turn: int) -> AgentVerdict:
    verdict = _verdict(agent, task)
    return AgentVerdict(
        agent.spec.agent,
        agent.spec.kind,
        verdict,
        len(agent.leases),
        agent.width,
        _missing(agent.offers, task),
        turn if verdict is Verdict.ELIGIBLE else 0,
        agent.host.duty,
        agent.host.last_seen_ms,
    )


def _of_absent(spec: AgentSpec, task: Task) -> AgentVerdict:
    verdict = Verdict.OFFLINE if spec.kind == task.submission.kind else Verdict.OTHER_KIND
    return AgentVerdict(spec.agent, spec.kind, verdict, missing=_missing(offers_of(spec), task))


def _verdict(agent: AgentSlots, task: Task) -> Verdict:
    if task.lease and task.lease in agent.leases:
        return Verdict.HOLDS
    if agent.spec.kind != task.submission.kind:
        return Verdict.OTHER_KIND
    hindrance = obstacle(agent, frozenset(task.submission.requires), agent.free())
    if hindrance is None:
        return Verdict.ELIGIBLE
    if hindrance is Obstacle.CAPABILITY_MISSING:
        return Verdict.CAPABILITY_MISSING
    if agent.host.takes_work:
        return Verdict.NO_FREE_SLOT
    if agent.host.is_deaf:
        return Verdict.DEAF
    return Verdict.OFF_DUTY if agent.host.reported else Verdict.NOT_HEARD_YET


def _missing(offers: frozenset[str], task: Task) -> tuple[str, ...]:
    return tuple(sorted(set(task.submission.requires).difference(offers)))


def _away(shard: Shard) -> Iterator[AgentSpec]:
    """Agents of hosts that the log knows and that are not here; those that left for good are not expected."""
    for record in shard.table.hosts.values():
        if record.host not in shard.fleet.hosts and record.liveness is not Liveness.LEFT:
            yield from record.agents
