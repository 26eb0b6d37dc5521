"""What tasks, workers and agents can be selected by. The words are those of the tables that people read.

Only names and types stand here, so that a door can list them at no cost; rows.py says where the values come from.
"""

from __future__ import annotations

from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.complexity import Complexity
from ohmesh.model.priority import Priority
from ohmesh.model.task import TaskState
from ohmesh.registry.selector.schema import Field, FieldType, Schema

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
            choices=tuple(one.value for one in Liveness),
        ),
        Field(
            name="duty",
            type=FieldType.CHOICE,
            help="Whether it takes work.",
            choices=tuple(one.value for one in Duty),
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
            choices=tuple(one.value for one in Liveness),
        ),
        Field(
            name="duty",
            type=FieldType.CHOICE,
            help="Whether its worker takes work.",
            choices=tuple(one.value for one in Duty),
        ),
        Field(name="seen", type=FieldType.DURATION, help="Since its worker was last heard of."),
    ),
)
