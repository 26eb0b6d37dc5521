"""What tasks, workers and agents can be selected by. The words are those of the tables that people read.

Only names and types stand here, so that a door can list them at no cost; rows.py says where the values come from.
"""

from __future__ import annotations

from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.agent_class import STANDARD_CLASSES, AgentClass
from ohmesh.model.complexity import Complexity
from ohmesh.model.fleet_agent import FLAGS
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskState
from ohmesh.registry.selector.schema import Field, FieldType, Schema

_LIVENESS = tuple(one.value for one in Liveness)
_DUTIES = tuple(one.value for one in Duty)

TASKS = Schema(
    "tasks",
    (
        Field(name="id", type=FieldType.TEXT, help="Its id."),
        Field(name="kind", type=FieldType.TEXT, help="What it asks for."),
        Field(
            name="state",
            type=FieldType.CHOICE,
            help="Where it stands.",
            choices=tuple(state.value for state in TaskState if state is not TaskState.SUBMITTED),
        ),
        Field(
            name="priority",
            type=FieldType.CHOICE,
            help="Before which others it starts.",
            choices=tuple(one.name.lower() for one in Priority),
            is_ordered=True,
        ),
        Field(
            name="complexity",
            type=FieldType.CHOICE,
            help="How heavy it was tagged.",
            choices=tuple(one.value for one in Complexity),
            is_ordered=True,
        ),
        Field(name="attempts", type=FieldType.NUMBER, help="How often it was handed out."),
        Field(name="host", type=FieldType.TEXT, help="The worker that has it or had it last."),
        Field(name="agent", type=FieldType.TEXT, help="The agent, as worker/name."),
        Field(name="age", type=FieldType.DURATION, help="Since it was submitted."),
        Field(name="submitted", type=FieldType.TIME, help="When it was submitted."),
        Field(name="took", type=FieldType.DURATION, help="Its last attempt; no value before its end."),
        Field(name="failure", type=FieldType.TEXT, help="The kind of its last failure, such as timeout."),
    ),
)

WORKERS = Schema(
    "workers",
    (
        Field(name="name", type=FieldType.TEXT, help="Its name."),
        Field(
            name="state",
            type=FieldType.CHOICE,
            help="Whether it is heard of.",
            choices=_LIVENESS,
        ),
        Field(
            name="duty",
            type=FieldType.CHOICE,
            help="Whether it takes work.",
            choices=_DUTIES,
        ),
        Field(name="running", type=FieldType.NUMBER, help="Tasks that it holds."),
        Field(name="slots", type=FieldType.NUMBER, help="Tasks that it may hold at once."),
        Field(name="load", type=FieldType.RATIO, help="Running tasks to slots; no value without slots."),
        Field(name="done", type=FieldType.NUMBER, help="Tasks that succeeded here."),
        Field(name="failed", type=FieldType.NUMBER, help="Attempts that failed here."),
        Field(name="kind", type=FieldType.TEXT, help="The kinds that it runs.", is_repeated=True),
        Field(name="pid", type=FieldType.NUMBER, help="Its process."),
        Field(name="seen", type=FieldType.DURATION, help="Since it was last heard of."),
    ),
)

EVENTS = Schema(
    "events",
    (
        Field(
            name="type",
            type=FieldType.TEXT,
            help="What happened, as task.succeeded or io.ohmesh.task.succeeded.v1.",
            is_repeated=True,
        ),
        Field(
            name="subject", type=FieldType.TEXT, help="The task, worker, kind or shard that it happened to."
        ),
        Field(name="kind", type=FieldType.TEXT, help="The kind of the task."),
        Field(name="agent", type=FieldType.TEXT, help="The agent, as worker/name."),
        Field(name="failure", type=FieldType.TEXT, help="The kind of the failure."),
        Field(name="attempt", type=FieldType.NUMBER, help="Which attempt of the task."),
        Field(name="shard", type=FieldType.NUMBER, help="In whose log it stands."),
        Field(name="time", type=FieldType.TIME, help="When it happened."),
        Field(name="age", type=FieldType.DURATION, help="Since it happened."),
    ),
)

AGENTS = Schema(
    "agents",
    (
        Field(name="agent", type=FieldType.TEXT, help="Its id, as worker/name."),
        Field(name="name", type=FieldType.TEXT, help="Its name within its worker."),
        Field(name="worker", type=FieldType.TEXT, help="The worker that it lives in."),
        Field(name="kind", type=FieldType.TEXT, help="What it runs."),
        Field(name="capability", type=FieldType.TEXT, help="What it can do beyond that.", is_repeated=True),
        Field(name="running", type=FieldType.NUMBER, help="Tasks that it holds."),
        Field(name="slots", type=FieldType.NUMBER, help="Tasks that it may hold at once."),
        Field(name="free", type=FieldType.NUMBER, help="Slots in which nothing runs."),
        Field(name="load", type=FieldType.RATIO, help="Running tasks to slots; no value without slots."),
        Field(
            name="state",
            type=FieldType.CHOICE,
            help="Whether its worker is heard of.",
            choices=_LIVENESS,
        ),
        Field(
            name="duty",
            type=FieldType.CHOICE,
            help="Whether its worker takes work.",
            choices=_DUTIES,
        ),
        Field(name="seen", type=FieldType.DURATION, help="Since its worker was last heard of."),
    ),
)


def fleet_schema(classes: tuple[AgentClass, ...]) -> Schema:
    """What agents of a fleet with these classes can be selected by."""
    words = dict.fromkeys(word.lower() for one in classes for word in (one.name, one.title))
    return Schema(
        "agents of the fleet",
        (
            Field(name="agent", type=FieldType.TEXT, help="Its id, as s007.c04.a12."),
            Field(name="name", type=FieldType.TEXT, help="As its owner named it."),
            Field(name="host", type=FieldType.TEXT, help="The process that it lives in."),
            Field(
                name="class",
                type=FieldType.CHOICE,
                help="What it is, by letter or title.",
                choices=tuple(words),
                is_repeated=True,
            ),
            *_FLEET_FIELDS,
        ),
    )


_FLEET_FIELDS = (
    Field(name="sector", type=FieldType.NUMBER, help="Its sector."),
    Field(name="cluster", type=FieldType.NUMBER, help="Its cluster within the sector."),
    Field(
        name="state",
        type=FieldType.CHOICE,
        help="Whether it is heard of, and whether it takes work: one of each.",
        choices=(*_LIVENESS, *_DUTIES),
        is_repeated=True,
    ),
    Field(name="duty", type=FieldType.CHOICE, help="Whether it takes work.", choices=_DUTIES),
    Field(name="capability", type=FieldType.TEXT, help="What it can do.", is_repeated=True),
    Field(
        name="flag",
        type=FieldType.CHOICE,
        help="What is wrong with how it behaves.",
        choices=FLAGS,
        is_repeated=True,
    ),
    Field(
        name="impedance",
        type=FieldType.DURATION,
        help="From the release of a light message until it is ready.",
    ),
    Field(name="score", type=FieldType.NUMBER, help="The same in milliseconds, 1000 at most."),
    Field(name="rtt", type=FieldType.DURATION, help="Round trip; no value before it was measured."),
    Field(name="processing", type=FieldType.DURATION, help="One light message, nothing waiting before it."),
    Field(name="queue", type=FieldType.NUMBER, help="Messages that wait for it."),
    Field(name="reliability", type=FieldType.RATIO, help="Of what it did in the last hour, what succeeded."),
    Field(name="drift", type=FieldType.RATIO, help="Spread of its delays to their mean."),
    Field(name="seen", type=FieldType.DURATION, help="Since its last heartbeat."),
    Field(name="task", type=FieldType.TEXT, help="What it works on."),
    Field(name="working", type=FieldType.DURATION, help="Since it began that; no value when it is idle."),
    Field(name="waits", type=FieldType.TEXT, help="What it waits for."),
    Field(
        name="waiting", type=FieldType.DURATION, help="Since it waits for that; no value when it does not."
    ),
    Field(name="context", type=FieldType.TEXT, help="Hash of its context, 16 hexadecimal digits."),
)

FLEET = fleet_schema(STANDARD_CLASSES)
