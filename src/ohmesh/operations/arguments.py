"""What each verb takes: one Struct per verb, the only place where names, types, defaults, bounds and help stand.

Conventions that `parameter.py` reads: a field without default is required; one marked `_POSITIONAL` is given by place;
a list is repeated; durations end in `_s` or `_ms` and lose that ending in the CLI (`wait_s` is `--wait SECONDS`).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.priority import Priority, parse_priority
from ohmesh.model.task import TaskState
from ohmesh.registry.fields import AGENTS, EVENTS, TASKS, WORKERS
from ohmesh.registry.selector.schema import Schema

MAX_PAGE_TASKS = 1_000
MAX_TASK_IDS = 10_000
MAX_LIMIT = 1_000_000
MAX_MAPPED_ITEMS = 10_000
MAX_WAIT_S = 86_400.0
MAX_DELAY_S = 10_000_000.0
DEFAULT_WAIT_S = 30.0

_POSITIONAL = {"positional": True}

TaskId = Annotated[str, Meta(min_length=1, max_length=64)]
Kind = Annotated[str, Meta(min_length=1, max_length=64)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_WAIT_S)]
Value = Annotated[object, Meta(extra_json_schema={"title": "any JSON value"})]
PriorityName = Annotated[str, Meta(extra_json_schema={"enum": [one.name for one in reversed(Priority)]})]
StateName = Annotated[str, Meta(extra_json_schema={"enum": ["", *(state.value for state in TaskState)]})]


def _filter_help(schema: Schema, example: str) -> str:
    return f'Only {schema.noun} that match, as in "{example}". Fields: {", ".join(schema.names)}.'


def _check(text: str, schema: Schema) -> None:
    """Refuse what cannot be read before a mesh is asked. Imported late: nobody pays for it who does not filter."""
    if text:
        from ohmesh.registry.selector import compile_selector

        compile_selector(text, schema)


def ms_of(seconds: float) -> int:
    """Whole milliseconds, at least one of anything above zero: zero means something else wherever it can be said."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


class Submit(Struct, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(description="Which agents may run it.", min_length=1, extra=_POSITIONAL)]
    arguments: Annotated[
        list[Value], Meta(description="Its positional arguments, each JSON or text.", extra=_POSITIONAL)
    ] = []
    named: Annotated[dict[str, Value], Meta(description="A named argument, as name=value.")] = {}
    priority: Annotated[PriorityName, Meta(description="Before which others it starts.")] = "NORMAL"
    timeout_s: Annotated[
        Seconds, Meta(description="Stop an attempt after this long; 0: as its kind says.")
    ] = 0.0
    retries: Annotated[
        int, Meta(description="Further attempts after the first; -1: as its kind says.", ge=-1, le=1_000)
    ] = -1
    delay_s: Annotated[
        float, Meta(description="Do not start before this long from now.", ge=0, le=MAX_DELAY_S)
    ] = 0.0
    key: Annotated[
        str, Meta(description="Idempotency key: the same key is the same task.", max_length=512)
    ] = ""
    unique: Annotated[
        str,
        Meta(
            description="While a task of the kind with this key waits or runs, it is this one.",
            max_length=256,
        ),
    ] = ""
    unique_for_s: Annotated[
        float,
        Meta(
            description="Where it succeeds, its key is taken until so long after its submission; without unique the "
            "arguments are the key.",
            ge=0,
            le=MAX_DELAY_S,
        ),
    ] = 0.0
    requires: Annotated[
        list[str], Meta(description="A capability that the agent must have, or host:WORKER.", max_length=32)
    ] = []
    wait_s: Annotated[Seconds, Meta(description="Wait this long for its end; 0: do not wait.")] = 0.0


class MapTasks(Struct, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(description="Which agents may run them.", min_length=1, extra=_POSITIONAL)]
    items: Annotated[
        list[Value],
        Meta(
            description="One task for each, with it as its only argument.",
            max_length=MAX_MAPPED_ITEMS,
            extra=_POSITIONAL,
        ),
    ] = []
    priority: Annotated[PriorityName, Meta(description="Before which others they start.")] = "NORMAL"
    timeout_s: Annotated[
        Seconds, Meta(description="Stop an attempt after this long; 0: as its kind says.")
    ] = 0.0
    retries: Annotated[
        int, Meta(description="Further attempts after the first; -1: as their kind says.", ge=-1, le=1_000)
    ] = -1
    delay_s: Annotated[
        float, Meta(description="Do not start before this long from now.", ge=0, le=MAX_DELAY_S)
    ] = 0.0
    requires: Annotated[
        list[str], Meta(description="A capability that the agents must have.", max_length=32)
    ] = []
    wait_s: Annotated[
        Seconds, Meta(description="Give up waiting for one after this long; 0: do not wait for any.")
    ] = MAX_WAIT_S


class Result(Struct, frozen=True, kw_only=True):
    task_id: Annotated[TaskId, Meta(description="The task.", extra=_POSITIONAL)]
    wait_s: Annotated[Seconds, Meta(description="Wait this long for its end.")] = DEFAULT_WAIT_S


class StreamTask(Struct, frozen=True, kw_only=True):
    task_id: Annotated[TaskId, Meta(description="The task.", extra=_POSITIONAL)]
    wait_s: Annotated[Seconds, Meta(description="Read for this long at most.")] = DEFAULT_WAIT_S


class ListTasks(Struct, frozen=True, kw_only=True):
    """`kind` and `state` are short for the same words in `filter`; a task has to match all that is given."""

    kind: Annotated[str, Meta(description="Only tasks of this kind.")] = ""
    state: Annotated[StateName, Meta(description="Only tasks in this state.")] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_PAGE_TASKS)] = 100
    after: Annotated[str, Meta(description="The cursor that the page before ended with.")] = ""
    filter: Annotated[str, Meta(description=_filter_help(TASKS, "state=dead and age>1h"))] = ""

    def __post_init__(self) -> None:
        _check(self.filter, TASKS)


class GetTasks(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId],
        Meta(description="The tasks.", min_length=1, max_length=MAX_PAGE_TASKS, extra=_POSITIONAL),
    ]


class WaitTasks(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId], Meta(description="The tasks.", min_length=1, max_length=MAX_TASK_IDS, extra=_POSITIONAL)
    ]
    wait_s: Annotated[Seconds, Meta(description="Wait this long for all of them.")] = DEFAULT_WAIT_S


class CancelTasks(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId], Meta(description="The tasks.", min_length=1, max_length=MAX_TASK_IDS, extra=_POSITIONAL)
    ]


class RetryTasks(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId], Meta(description="The tasks.", min_length=1, max_length=MAX_TASK_IDS, extra=_POSITIONAL)
    ]


class ExplainTask(Struct, frozen=True, kw_only=True):
    task_id: Annotated[TaskId, Meta(description="The task.", extra=_POSITIONAL)]


class ListDeadLetters(Struct, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(description="Only those of this kind.")] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_PAGE_TASKS)] = 100
    after: Annotated[str, Meta(description="The cursor that the page before ended with.")] = ""


class GetDeadLetters(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId],
        Meta(description="The tasks.", min_length=1, max_length=MAX_PAGE_TASKS, extra=_POSITIONAL),
    ]


class _ChosenDeadLetters(Struct, frozen=True, kw_only=True):
    task_ids: Annotated[
        list[TaskId], Meta(description="The tasks.", max_length=MAX_TASK_IDS, extra=_POSITIONAL)
    ] = []
    all: Annotated[bool, Meta(description="All that there are, instead of named ones.")] = False
    kind: Annotated[str, Meta(description="With --all: only those of this kind.")] = ""

    def __post_init__(self) -> None:
        if bool(self.task_ids) == self.all or (self.kind and not self.all):
            raise InvalidArgument(
                "It is not clear which dead letters are meant.",
                hint="Name them, or say --all, or --all --kind KIND.",
            )


class ReplayDeadLetters(_ChosenDeadLetters, frozen=True, kw_only=True):
    pass


class EditDeadLetter(Struct, frozen=True, kw_only=True):
    task_id: Annotated[TaskId, Meta(description="The task.", extra=_POSITIONAL)]
    args: Annotated[
        Value, Meta(description="Its positional arguments from now on: a JSON list; else as they were.")
    ] = None
    kwargs: Annotated[
        Value, Meta(description="Its named arguments from now on: a JSON object; else as they were.")
    ] = None
    priority: Annotated[str, Meta(description="Before which others it starts; else as it was.")] = ""
    timeout_s: Annotated[
        float,
        Meta(
            description="Stop an attempt after this long; 0: as its kind says; -1: as it was.",
            ge=-1,
            le=MAX_WAIT_S,
        ),
    ] = -1.0

    def __post_init__(self) -> None:
        if self.args is not None and not isinstance(self.args, list):
            raise InvalidArgument(
                f"args: {self.args!r} is no list.", hint="Write JSON, such as '[1, \"two\"]'."
            )
        if self.kwargs is not None and not isinstance(self.kwargs, dict):
            raise InvalidArgument(
                f"kwargs: {self.kwargs!r} is no object.", hint="Write JSON, such as '{\"words\": 3}'."
            )
        if self.priority:
            parse_priority(self.priority)
        if self.args is None and self.kwargs is None and not self.priority and self.timeout_s < 0:
            raise InvalidArgument(
                "It is not said what is to be another.",
                hint="Say --args, --kwargs, --priority or --timeout; unchanged it runs again with `dlq replay`.",
            )


class PurgeDeadLetters(_ChosenDeadLetters, frozen=True, kw_only=True):
    pass


class ListQueues(Struct, frozen=True, kw_only=True):
    pass


class PauseQueue(Struct, frozen=True, kw_only=True):
    kind: Annotated[Kind, Meta(description="Which tasks it holds.", extra=_POSITIONAL)]


class ResumeQueue(Struct, frozen=True, kw_only=True):
    kind: Annotated[Kind, Meta(description="Which tasks it holds.", extra=_POSITIONAL)]


class LimitQueue(Struct, frozen=True, kw_only=True):
    """The whole limit of a kind, in place of the one before."""

    kind: Annotated[Kind, Meta(description="Which tasks it holds.", extra=_POSITIONAL)]
    rate: Annotated[str, Meta(description="How many may start: 100/s, 6000/m, 10/h, 1/d.", max_length=32)] = (
        ""
    )
    burst: Annotated[
        int,
        Meta(
            description="So many may start at once; 0: what the rate allows in a second.", ge=0, le=MAX_LIMIT
        ),
    ] = 0
    concurrency: Annotated[int, Meta(description="How many may run at a time.", ge=0, le=MAX_LIMIT)] = 0
    none: Annotated[bool, Meta(description="Take its limit away.")] = False

    def __post_init__(self) -> None:
        if self.none == bool(self.rate or self.concurrency) or (self.burst and not self.rate):
            raise InvalidArgument(
                "It is not clear what the limit is.",
                hint="Say --rate 100/s (and --burst 200), or --concurrency 5, or both, or --none.",
            )


class PurgeQueue(Struct, frozen=True, kw_only=True):
    kind: Annotated[Kind, Meta(description="Which tasks it holds.", extra=_POSITIONAL)]


class ListWorkers(Struct, frozen=True, kw_only=True):
    filter: Annotated[str, Meta(description=_filter_help(WORKERS, "kind=text and load>80%"))] = ""

    def __post_init__(self) -> None:
        _check(self.filter, WORKERS)


class ListAgents(Struct, frozen=True, kw_only=True):
    filter: Annotated[str, Meta(description=_filter_help(AGENTS, "kind=text and free>0"))] = ""

    def __post_init__(self) -> None:
        _check(self.filter, AGENTS)


class ReadEvents(Struct, frozen=True, kw_only=True):
    after: Annotated[
        str,
        Meta(
            description="Go on behind this cursor; start: the oldest that there are; without it the newest."
        ),
    ] = ""
    filter: Annotated[str, Meta(description=_filter_help(EVENTS, "type=task.* and kind=text"))] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_PAGE_TASKS)] = 100

    def __post_init__(self) -> None:
        _check(self.filter, EVENTS)


class Status(Struct, frozen=True, kw_only=True):
    pass
