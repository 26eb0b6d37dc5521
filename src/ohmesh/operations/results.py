"""What each verb answers: the same Struct in every door (`msgspec.to_builtins` is its JSON form).

Times are milliseconds since 1970 of the mesh's clock, 0 is not yet. A task's value is decoded; it is None until the
task has succeeded, so read `state` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.agent import HostView
from ohmesh.model.task import FINAL_STATES, TaskState

Value = Annotated[object, Meta(extra_json_schema={"title": "any JSON value"})]


class Failure(Struct, frozen=True):
    """Why an attempt did not succeed. `kind`: the exception's class name, or timeout, crash, lost_worker."""

    kind: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


class TaskOutcome(Struct, frozen=True, gc=False):
    """Where one task stands: at its end, or (a submit that did not wait) at its beginning.

    joined: it was there already with the same unique key; nothing new was queued. existed: so with the same key, and
    what it was first submitted with counts. unserved: no worker ran its kind when it was accepted.
    """

    task_id: str
    state: TaskState
    value: Value = None
    failure: Failure | None = None
    attempts: int = 0
    joined: bool = False
    existed: bool = False
    unserved: bool = False

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    def __str__(self) -> str:
        ending = f" {self.failure}" if self.failure else ""
        value = f" {self.value!r}" if self.state is TaskState.SUCCEEDED else ""
        return f"{self.task_id} {self.state}{value}{ending}"


class TaskOutcomes(Struct, frozen=True):
    outcomes: list[TaskOutcome]
    unfinished: list[str] = []
    unknown: list[str] = []

    def __str__(self) -> str:
        return f"{len(self.outcomes)} ended, {len(self.unfinished)} unfinished, {len(self.unknown)} unknown"


class FormerArguments(Struct, frozen=True):
    """What a task was until it was edited at `at_ms`; None of what is too large to be shown."""

    at_ms: int
    arguments: list[Value] | None
    named: dict[str, Value] | None
    priority: str
    timeout_ms: int


class TaskDescription(Struct, frozen=True):
    """One task as a person asks for it. `complexity`: small or large, "" where it was not recorded.

    attempts: how often it was handed to an agent; those that were lost with their worker use up none of `max_attempts`.

    value_omitted_bytes: the size of a value that was too large to be shown here, which is None then.
    timeout_ms: its own, 0 where it has none. arguments, named: of a dead letter that is asked for by id; None
    elsewhere, and where they are too large. edits: what it was before, the oldest first.
    """

    task_id: str
    kind: str
    state: TaskState
    priority: str
    attempts: int
    max_attempts: int
    submitted_ms: int
    started_ms: int = 0
    finished_ms: int = 0
    due_ms: int = 0
    host: str = ""
    agent: str = ""
    failures: list[Failure] = []
    value: Value = None
    complexity: str = ""
    value_omitted_bytes: int = 0
    timeout_ms: int = 0
    arguments: list[Value] | None = None
    named: dict[str, Value] | None = None
    edits: list[FormerArguments] = []

    def __str__(self) -> str:
        place = f" on {self.agent}" if self.agent else ""
        return f"{self.task_id} {self.kind} {self.state} {self.priority}{place}, attempt {self.attempts}"


class TaskList(Struct, frozen=True):
    """`after` asks for the next page ("" on the last); `filter` is what they had to match, in canonical form; `total`
    counts all that the dispatchers asked hold, whether they match or not."""

    tasks: list[TaskDescription]
    after: str = ""
    total: int = 0
    unknown: list[str] = []
    filter: str = ""

    def __iter__(self) -> Iterator[TaskDescription]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __str__(self) -> str:
        return "\n".join([f"{len(self.tasks)} of {self.total} tasks", *map(str, self.tasks)])


class DeadLetters(TaskList, frozen=True):
    """A page of dead letters; `failures` of each says why."""


class DeadLetterDetails(TaskList, frozen=True):
    """Dead letters that were asked for by id; `unknown` are none (any more)."""


class Cancellation(Struct, frozen=True):
    """`cancelled` will not start or are being stopped; `too_late` had ended; `unknown` were never here."""

    cancelled: list[str]
    too_late: list[str] = []
    unknown: list[str] = []

    def __str__(self) -> str:
        return f"{len(self.cancelled)} cancelled, {len(self.too_late)} too late, {len(self.unknown)} unknown"


class ChangedTasks(Struct, frozen=True):
    """`done` is done and durable; `too_late` were not, or no longer, in a state for it; `unknown` were never here.

    key_taken: not queued again, because another task with their unique key waits or runs.
    """

    done: list[str]
    too_late: list[str] = []
    unknown: list[str] = []
    key_taken: list[str] = []

    def __str__(self) -> str:
        taken = f", {len(self.key_taken)} whose unique key is taken" if self.key_taken else ""
        return f"{len(self.done)} done, {len(self.too_late)} too late, {len(self.unknown)} unknown{taken}"


class QueueState(Struct, frozen=True):
    """The tasks of one kind that have not ended, and its dead letters. `paused_ms`: since when; 0 is not paused.

    rate, burst, concurrency: its limit; "" and 0 where there is none. held_back: rate or concurrency, where that is why
        something that is ready does not start. unknown: of a kind that was just changed, no worker runs it and no task
        of it is here.
    """

    kind: str
    queued: int
    running: int
    retrying: int
    dead_letters: int = 0
    paused_ms: int = 0
    rate: str = ""
    burst: int = 0
    concurrency: int = 0
    held_back: str = ""
    unknown: bool = False

    @property
    def is_paused(self) -> bool:
        return self.paused_ms > 0

    @property
    def limit(self) -> str:
        """`100/s, 200 at once, 5 at a time`; "" where there is none."""
        parts = [f"{self.rate}, {self.burst} at once"] if self.rate else []
        return ", ".join([*parts, f"{self.concurrency} at a time"] if self.concurrency else parts)

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.queued} queued, {self.running} running, {self.retrying} retrying, "
            f"{self.dead_letters} dead letters{', paused' if self.is_paused else ''}"
            f"{f', held back by its limit of {self.held_back}' if self.held_back else ''}"
        )


class QueueList(Struct, frozen=True):
    queues: list[QueueState]

    def __iter__(self) -> Iterator[QueueState]:
        return iter(self.queues)

    def __len__(self) -> int:
        return len(self.queues)

    def __str__(self) -> str:
        return "\n".join(map(str, self.queues))


class PurgedQueue(Struct, frozen=True):
    """So many tasks that waited are cancelled; what runs goes on."""

    kind: str
    cancelled: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.cancelled} cancelled"


class WorkerList(Struct, frozen=True):
    """`total` counts all that are known, whether they match `filter` or not."""

    workers: list[HostView]
    total: int = 0
    filter: str = ""

    def __iter__(self) -> Iterator[HostView]:
        return iter(self.workers)

    def __len__(self) -> int:
        return len(self.workers)

    def __str__(self) -> str:
        return "\n".join(
            f"{worker.host} {worker.liveness} {worker.running}/{worker.slots} {', '.join(worker.kinds)}"
            for worker in self.workers
        )


class QueueDepth(Struct, frozen=True):
    """The tasks of one kind that have not ended."""

    kind: str
    queued: int
    running: int
    retrying: int


class DispatcherStatus(Struct, frozen=True):
    """Who decides for one shard, since which epoch, how long its log is; `lost_tail` says what a power cut took."""

    shard: int
    epoch: int
    owner: str
    last_sequence: int
    hosts: int
    lost_tail: str = ""


class FleetCount(Struct, frozen=True):
    """The fleet beside the queue; `simulated` of its agents are. summary: the same as a person reads it."""

    agents: int
    active: int
    simulated: int
    mode: str
    summary: str


class MeshStatus(Struct, frozen=True):
    """`states` counts the tasks that the mesh still holds, by state. fleet: None where there is none."""

    mesh: str
    dispatchers: list[DispatcherStatus]
    queues: list[QueueDepth]
    states: dict[str, int]
    workers_alive: int
    workers_known: int
    fleet: FleetCount | None = None

    def __str__(self) -> str:
        waiting = sum(queue.queued + queue.retrying for queue in self.queues)
        running = sum(queue.running for queue in self.queues)
        tasks = (
            f"mesh {self.mesh}: {self.workers_alive} of {self.workers_known} workers alive, "
            f"{waiting} tasks waiting, {running} running"
        )
        return f"{tasks}\nfleet: {self.fleet.summary}" if self.fleet else tasks
