"""From what a mesh answers to what a selector asks for: a value for each field of fields.py, in its unit.

Only the fields that a selector names are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ohmesh.model.agent import AgentView, HostView
from ohmesh.model.event import Event
from ohmesh.model.fleet_agent import FleetAgent
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskView
from ohmesh.registry.selector import Selector
from ohmesh.registry.selector.evaluation import RowValue

Thing = TypeVar("Thing")
Source = Callable[[Thing, int], RowValue]

_PRIORITIES = {one.value: one.name.lower() for one in Priority}

TASK_SOURCES: Mapping[str, Source[TaskView]] = {
    "id": lambda task, _now_ms: task.task_id,
    "kind": lambda task, _now_ms: task.kind,
    "state": lambda task, _now_ms: task.state,
    "priority": lambda task, _now_ms: _PRIORITIES.get(task.priority),
    "complexity": lambda task, _now_ms: task.complexity or None,
    "attempts": lambda task, _now_ms: task.attempts,
    "host": lambda task, _now_ms: task.host,
    "agent": lambda task, _now_ms: task.agent,
    "age": lambda task, now_ms: max(0, now_ms - task.submitted_ms),
    "submitted": lambda task, _now_ms: task.submitted_ms,
    "took": lambda task, _now_ms: _took_ms(task),
    "failure": lambda task, _now_ms: task.failures[-1].kind if task.failures else "",
}

WORKER_SOURCES: Mapping[str, Source[HostView]] = {
    "name": lambda worker, _now_ms: worker.host,
    "state": lambda worker, _now_ms: worker.liveness,
    "duty": lambda worker, _now_ms: worker.duty,
    "running": lambda worker, _now_ms: worker.running,
    "slots": lambda worker, _now_ms: worker.slots,
    "load": lambda worker, _now_ms: worker.running / worker.slots if worker.slots else None,
    "done": lambda worker, _now_ms: worker.completed,
    "failed": lambda worker, _now_ms: worker.failed,
    "kind": lambda worker, _now_ms: worker.kinds,
    "pid": lambda worker, _now_ms: worker.pid,
    "seen": lambda worker, now_ms: max(0, now_ms - worker.last_seen_ms) if worker.last_seen_ms else None,
}

AGENT_SOURCES: Mapping[str, Source[AgentView]] = {
    "agent": lambda agent, _now_ms: agent.agent,
    "name": lambda agent, _now_ms: agent.name,
    "worker": lambda agent, _now_ms: agent.worker,
    "kind": lambda agent, _now_ms: agent.kind,
    "capability": lambda agent, _now_ms: agent.capabilities,
    "running": lambda agent, _now_ms: agent.running,
    "slots": lambda agent, _now_ms: agent.slots,
    "free": lambda agent, _now_ms: agent.free,
    "load": lambda agent, _now_ms: agent.running / agent.slots if agent.slots else None,
    "state": lambda agent, _now_ms: agent.liveness,
    "duty": lambda agent, _now_ms: agent.duty,
    "seen": lambda agent, now_ms: max(0, now_ms - agent.last_seen_ms) if agent.last_seen_ms else None,
}

FLEET_SOURCES: Mapping[str, Source[FleetAgent]] = {
    "agent": lambda agent, _now_ms: agent.agent,
    "name": lambda agent, _now_ms: agent.name,
    "host": lambda agent, _now_ms: agent.host,
    "class": lambda agent, _now_ms: (agent.class_name.lower(), agent.class_title.lower()),
    "sector": lambda agent, _now_ms: agent.sector,
    "cluster": lambda agent, _now_ms: agent.cluster,
    "state": lambda agent, _now_ms: (agent.liveness, agent.duty),
    "duty": lambda agent, _now_ms: agent.duty,
    "capability": lambda agent, _now_ms: agent.capabilities,
    "flag": lambda agent, _now_ms: agent.flags,
    "impedance": lambda agent, _now_ms: agent.lead_ms,
    "score": lambda agent, _now_ms: agent.score,
    "rtt": lambda agent, _now_ms: agent.rtt_ms,
    "processing": lambda agent, _now_ms: agent.processing_ms,
    "queue": lambda agent, _now_ms: agent.queue_depth,
    "reliability": lambda agent, _now_ms: agent.reliability,
    "drift": lambda agent, _now_ms: agent.drift,
    "seen": lambda agent, now_ms: max(0, now_ms - agent.heartbeat_ms),
    "task": lambda agent, _now_ms: agent.task,
    "working": lambda agent, now_ms: _since_ms(agent.task_since_ms, now_ms),
    "waits": lambda agent, _now_ms: agent.waits_on,
    "waiting": lambda agent, now_ms: _since_ms(agent.waits_since_ms, now_ms),
    "context": lambda agent, _now_ms: agent.context,
}

EVENT_SOURCES: Mapping[str, Source[Event]] = {
    "type": lambda event, _now_ms: (event.what, event.type),
    "subject": lambda event, _now_ms: event.subject,
    "kind": lambda event, _now_ms: event.kind,
    "agent": lambda event, _now_ms: _text(event.data.get("agent")),
    "failure": lambda event, _now_ms: _text(event.data.get("failure")),
    "attempt": lambda event, _now_ms: _number(event.data.get("attempt")),
    "shard": lambda event, _now_ms: event.shard,
    "time": lambda event, _now_ms: event.time_ms,
    "age": lambda event, now_ms: max(0, now_ms - event.time_ms),
}


def matcher(selector: Selector, sources: Mapping[str, Source[Thing]], now_ms: int) -> Callable[[Thing], bool]:
    """Whether a task (TASK_SOURCES), a worker (WORKER_SOURCES) or another thing is meant, as things are at `now_ms`."""
    wanted = [(name, sources[name]) for name in selector.fields]
    matches = selector.matches

    def is_meant(thing: Thing) -> bool:
        return matches({name: source(thing, now_ms) for name, source in wanted})

    return is_meant


def _took_ms(task: TaskView) -> int | None:
    return task.finished_ms - task.started_ms if task.finished_ms and task.started_ms else None


def _since_ms(began_ms: int, now_ms: int) -> int | None:
    return max(0, now_ms - began_ms) if began_ms else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
