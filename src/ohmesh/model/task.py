"""The life of a task, in the words that every door uses."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct

LEASE_SHARD_SHIFT = 48  # a lease is (shard << 48) + a number that rises: unique in the mesh, for ever


def shard_of_lease(lease: int) -> int:
    return lease >> LEASE_SHARD_SHIFT


class TaskState(StrEnum):
    """`submitted` exists at the client only: sent, not yet acknowledged."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # a permanent error: user code said that a retry cannot help
    DEAD = "dead"  # attempts exhausted by errors or crashes
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"  # attempts exhausted, the last one by its timeout


FINAL_STATES = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.DEAD, TaskState.CANCELLED, TaskState.TIMED_OUT}
)
DEAD_LETTER_STATES = frozenset({TaskState.FAILED, TaskState.DEAD, TaskState.TIMED_OUT})


class OutcomeStatus(IntEnum):
    """How one attempt ended, as a host reports it."""

    SUCCEEDED = 0
    FAILED = 1  # the handler raised; may be retried
    FAILED_PERMANENTLY = 2  # the handler raised Permanent, or its arguments do not fit it
    TIMED_OUT = 3  # ran past its timeout; its runner was killed if it did not yield
    CRASHED = 4  # its runner died under it
    CANCELLED = 5
    RETURNED = 6  # never started, or innocent in a killed runner: handed back, no attempt counted
    OPENED = 7  # an envelope, not all of whose items succeeded: Outcome.opened says which


class TaskFailure(Struct, array_like=True, frozen=True, gc=False):
    """Why an attempt did not succeed. `kind` is the exception's class name, or timeout, crash, lost_worker."""

    kind: str
    message: str
    traceback: str = ""


class Submission(Struct, array_like=True, frozen=True, gc=False):
    """What a client asks for. 0 and "" mean: the kind's default.

    payload: MessagePack of [positional arguments, keyword arguments].
    created_ms: the client's wall clock at the first try; unchanged when the submission is sent again.
    due_ms: mesh time before which the task must not start; 0 is now.
    weight: how heavy the task is; model.complexity says which tag that is.
    items: above 0 this is an envelope of so many small tasks (model.envelope); payload and weight are theirs together.
    unique: while a task of the same kind and key waits or runs, this one is not taken; "" is no such key.
    unique_for_ms: and, once the task with the key has succeeded, until so long after its submission.
    """

    task_id: str
    kind: str
    payload: bytes
    priority: int = 1
    created_ms: int = 0
    due_ms: int = 0
    timeout_ms: int = 0
    max_attempts: int = 0
    requires: tuple[str, ...] = ()
    weight: int = 1
    items: int = 0
    unique: str = ""
    unique_for_ms: int = 0


class Grant(Struct, array_like=True, frozen=True, gc=False):
    """One attempt of one task, leased to one agent of the host it is sent to; `agent` is its bare name there."""

    lease: int
    task_id: str
    agent: str
    payload: bytes
    attempt: int
    timeout_ms: int
    items: int = 0


class ItemFailure(Struct, array_like=True, frozen=True, gc=False):
    """How the attempt of one item of an envelope failed."""

    index: int
    status: OutcomeStatus
    failure: TaskFailure | None = None
    started_ms: int = 0
    retry_after_ms: int = -1


class OpenedItems(Struct, array_like=True, frozen=True, gc=False):
    """What became of the items of an envelope that was not done as a whole. `finished`: rising indices, whose values
    are the outcome's, in this order; what is in neither list was not done."""

    finished: list[int] = []
    failed: list[ItemFailure] = []


class Outcome(Struct, array_like=True, frozen=True, gc=False):
    """How the attempt under `lease` ended. `value` is the MessagePack of the result when it succeeded.

    retry_after_ms: the handler's own wish (RetryLater); -1 leaves it to the policy.
    opened: belongs to the status OPENED. `value` of an envelope is the array of its items' values.
    """

    lease: int
    task_id: str
    status: OutcomeStatus
    value: bytes = b""
    failure: TaskFailure | None = None
    started_ms: int = 0
    ended_ms: int = 0
    retry_after_ms: int = -1
    opened: OpenedItems | None = None


class TaskResult(Struct, array_like=True, frozen=True, gc=False):
    """The end of a task, as its submitter hears it. `opened`: items of an envelope that became tasks of their own; the
    value is the array of the values of the others."""

    task_id: str
    state: TaskState
    value: bytes = b""
    failure: TaskFailure | None = None
    attempts: int = 0
    opened: tuple[int, ...] = ()


class TaskEdit(Struct, array_like=True, frozen=True, gc=False):
    """What a dead letter runs again with; None leaves it as it was."""

    payload: bytes | None = None
    priority: int | None = None
    timeout_ms: int | None = None
    weight: int | None = None


class FormerTask(Struct, array_like=True, frozen=True, gc=False):
    """What a task was before it was edited at `at_ms`. omitted_bytes: of a payload that was too large to be shown."""

    at_ms: int
    payload: bytes
    priority: int
    timeout_ms: int
    omitted_bytes: int = 0


class TaskView(Struct, frozen=True, gc=False):
    """One task as a person asks for it. Times are mesh time in milliseconds since 1970; 0 is not yet.

    value_omitted_bytes: the size of a result that was too large for history; `value` is then empty.
    complexity: small or large; "" where it was not recorded.
    items, opened: of an envelope how many tasks it was, and which of them became tasks of their own.
    payload, edits (what it was before, the oldest first): only where they were asked for.
    """

    task_id: str
    kind: str
    state: TaskState
    priority: int
    attempts: int
    max_attempts: int
    submitted_ms: int
    started_ms: int = 0
    finished_ms: int = 0
    due_ms: int = 0
    host: str = ""
    agent: str = ""
    failures: tuple[TaskFailure, ...] = ()
    value: bytes = b""
    order: int = 0
    value_omitted_bytes: int = 0
    complexity: str = ""
    items: int = 0
    opened: tuple[int, ...] = ()
    timeout_ms: int = 0
    payload: bytes = b""
    payload_omitted_bytes: int = 0
    edits: tuple[FormerTask, ...] = ()
