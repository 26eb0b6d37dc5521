"""Giving waiting tasks to agents with free slots. Runs once for each step, whatever came in since the last one.

Within a kind the next task is the one of highest rank that some free agent can do; agents take turns, each an even
share. Who may have what is one test, `obstacle`, of which explanations are made too. Nothing here looks at an agent
that has no free slot, or at a kind in which nothing waits, that is paused, or whose limit allows nothing now.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from ohmesh.model.envelope import slots_of
from ohmesh.model.task import Grant
from ohmesh.protocols.queue import opening
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.fleet import AgentSlots, HostSlots
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES
from ohmesh.protocols.queue.step import GrantBatch
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.waiting import Lane


class Obstacle(Enum):
    NO_ROOM = auto()
    CAPABILITY_MISSING = auto()


def obstacle(agent: AgentSlots, requires: frozenset[str], free: int) -> Obstacle | None:
    """Why this agent, with so many free slots, gets no task of its kind that requires this; None when it may."""
    if free <= 0:
        return Obstacle.NO_ROOM
    if not requires.issubset(agent.offers):
        return Obstacle.CAPABILITY_MISSING
    return None


def assign(shard: Shard, now_ms: int) -> None:
    """Grant what can be granted now."""
    at_ms = shard.advance(now_ms)
    paused, buckets = shard.table.paused, shard.buckets
    buckets.look(at_ms)
    for kind in list(shard.waiting.kinds()):
        if kind in paused:
            continue
        rotation = shard.fleet.offered(kind)
        if rotation and (allowed := buckets.allowance(kind, at_ms)):
            buckets.spend(kind, allowed - _assign_kind(shard, kind, rotation, allowed, at_ms))


def _assign_kind(shard: Shard, kind: str, rotation: deque[AgentSlots], allowed: int, at_ms: int) -> int:
    """Grant at most so many; returns what is left of it."""
    lanes = shard.waiting.lanes(kind)
    if len(lanes) == 1:
        return _assign_lane(shard, lanes[0], rotation, allowed, at_ms)
    return _assign_by_rank(shard, kind, rotation, allowed, at_ms)


def _assign_lane(shard: Shard, lane: Lane, rotation: deque[AgentSlots], allowed: int, at_ms: int) -> int:
    passed_over: list[AgentSlots] = []
    while rotation and (waiting := min(len(lane), allowed)):
        agent = rotation.popleft()
        free = agent.free()
        hindrance = obstacle(agent, lane.requires, free)
        if hindrance is Obstacle.NO_ROOM:
            agent.is_offered = False
        elif hindrance is Obstacle.CAPABILITY_MISSING:
            passed_over.append(agent)
        else:
            count = shard.policies.share(waiting, free, len(rotation) + 1)
            allowed -= _grant(shard, agent, lane.take(count, at_ms), at_ms)
            _put_back(agent, rotation)
    rotation.extend(passed_over)
    return allowed


def _assign_by_rank(shard: Shard, kind: str, rotation: deque[AgentSlots], allowed: int, at_ms: int) -> int:
    passed_over: list[AgentSlots] = []
    while rotation and allowed and (lanes := shard.waiting.lanes(kind)):
        agent = rotation.popleft()
        free = agent.free()
        if free <= 0:
            agent.is_offered = False
            continue
        lane = _best_lane(lanes, agent, free, at_ms)
        if lane is None:
            passed_over.append(agent)
        else:
            allowed -= _grant(shard, agent, lane.take(1, at_ms), at_ms)
            _put_back(agent, rotation)
    rotation.extend(passed_over)
    return allowed


def _best_lane(lanes: list[Lane], agent: AgentSlots, free: int, at_ms: int) -> Lane | None:
    capable = [lane for lane in lanes if obstacle(agent, lane.requires, free) is None]
    return max(capable, key=lambda lane: lane.best_rank(at_ms) or (-1.0, 0), default=None)


def _put_back(agent: AgentSlots, rotation: deque[AgentSlots]) -> None:
    if agent.free() > 0:
        rotation.append(agent)
    else:
        agent.is_offered = False


def _grant(shard: Shard, agent: AgentSlots, tasks: list[Task], at_ms: int) -> int:
    """How many were granted: all but envelopes that had to be opened."""
    tasks = _without_unfit_envelopes(shard, agent, tasks, at_ms)
    if not tasks:
        return 0
    spec = agent.spec
    first_lease = shard.next_lease()
    bare_name = spec.agent.rpartition("/")[2]
    timeout_ms = spec.timeout_ms or shard.config.timeout_ms
    task_ids = [task.submission.task_id for task in tasks]
    shard.decide(
        r.Granted(at_ms, spec.agent, first_lease, timeout_ms, task_ids), ROW_OVERHEAD_BYTES + 28 * len(tasks)
    )
    batch = open_frame(shard, agent.host)
    leases = agent.leases
    for lease, task in enumerate(tasks, first_lease):
        submission = task.submission
        size = len(submission.payload) + ROW_OVERHEAD_BYTES
        if batch.grants and batch.payload_bytes + size > shard.config.step_bytes:
            batch = _new_batch(shard, agent.host)
        batch.grants.append(
            Grant(
                lease,
                submission.task_id,
                bare_name,
                submission.payload,
                task.attempts + task.losses,
                task.timeout_ms,
                submission.items,
            )
        )
        batch.payload_bytes += size
        leases[lease] = batch.number
        if submission.items:
            agent.wide[lease] = slots_of(submission.items)
    return len(tasks)


def _without_unfit_envelopes(shard: Shard, agent: AgentSlots, tasks: list[Task], at_ms: int) -> list[Task]:
    """What is left after envelopes are opened that the host does not take, of which items were cancelled, or whose
    kind is limited, which counts single tasks: their items are first in the lane then, in their order."""
    takes_envelopes = agent.host.takes_envelopes and agent.spec.kind not in shard.table.limits.of
    fit = [task for task in tasks if not task.submission.items or (takes_envelopes and not task.opened)]
    if len(fit) < len(tasks):
        for task in reversed(tasks):
            if task.submission.items and (task.opened or not takes_envelopes):
                opening.open_envelope(shard, task, at_ms, is_in_lane=False)
    return fit


def open_frame(shard: Shard, host: HostSlots) -> GrantBatch:
    """This step's frame to the host, or a new and empty one."""
    batches = shard.step.host(host.name).grants
    return batches[-1] if batches else _new_batch(shard, host)


def _new_batch(shard: Shard, host: HostSlots) -> GrantBatch:
    host.frames_sent += 1
    batch = GrantBatch(host.frames_sent)
    shard.step.host(host.name).grants.append(batch)
    return batch
