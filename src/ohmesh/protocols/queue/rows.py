"""Rows: everything that can happen to the tasks of a shard, as it stands in the shard's log.

A row is decided once (shard.py) and applied for ever after (task_table.py): by the dispatcher that decided it, by its
successors when they replay, by the projector. Applying reads nothing but the row and the table, so replay is exact.
Rows of one kind that were decided together are one row with lists: a frame of a thousand tasks is a few rows.
Times are mesh time: milliseconds since 1970, never falling from row to row.

A row may only be extended at its end, with a default; a tag is never used again.
"""

from __future__ import annotations

import hashlib
from typing import get_args

import msgspec
from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.limit import KindLimit
from ohmesh.model.schedule import Schedule
from ohmesh.model.task import Submission, TaskEdit, TaskFailure, TaskState

LOG_VERSION = 1
SNAPSHOT_VERSION = 3


class EpochStarted(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """A dispatcher took the shard over. `lost_tail` says what a power cut took, "" when nothing is missing."""

    epoch: int
    owner: str
    at_ms: int
    lost_tail: str = ""


class Submitted(Struct, array_like=True, frozen=True, gc=False, tag=2):
    at_ms: int
    tasks: list[Submission]


class Granted(Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Leases first_lease, first_lease + 1, ... of these tasks to one agent. Counts an attempt of each.

    timeout_ms: for tasks that do not say themselves."""

    at_ms: int
    agent: str
    first_lease: int
    timeout_ms: int
    task_ids: list[str]


class Succeeded(Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Columns: one result for each lease."""

    at_ms: int
    leases: list[int]
    values: list[bytes]
    started_ms: list[int]


class Failed(Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The attempt failed. `state` is RETRYING (again at `due_ms`) or a final one. `lost`: its host vanished, which
    is counted apart from the attempts, because the task is hardly to blame."""

    at_ms: int
    lease: int
    failure: TaskFailure
    state: TaskState
    due_ms: int = 0
    started_ms: int = 0
    lost: bool = False


class Returned(Struct, array_like=True, frozen=True, gc=False, tag=6):
    """Handed back unstarted, or innocent: the attempt is not counted and the task keeps its place."""

    at_ms: int
    leases: list[int]
    reason: str


class Cancelled(Struct, array_like=True, frozen=True, gc=False, tag=7):
    """Final at once; the lease of a running one lives on until its host lets go (Released)."""

    at_ms: int
    task_ids: list[str]


class Released(Struct, array_like=True, frozen=True, gc=False, tag=8):
    """The host let go of leases whose tasks had ended already."""

    leases: list[int]


class HostChanged(Struct, array_like=True, frozen=True, gc=False, tag=9):
    at_ms: int
    host: str
    incarnation: int
    liveness: Liveness
    agents: list[AgentSpec]
    pid: int = 0
    version: str = ""


class Forgotten(Struct, array_like=True, frozen=True, gc=False, tag=10):
    """The `count` tasks that ended longest ago are no longer held here; the ledger keeps their history. Their ids
    are remembered until HorizonMoved, so that a late retry of their submission is not run again."""

    count: int


class SnapshotTaken(Struct, array_like=True, frozen=True, gc=False, tag=11):
    """Blob `key` holds the table as it was after the frame at `sequence`. A snapshot exists once this row does."""

    at_ms: int
    key: str
    sequence: int


class HorizonMoved(Struct, array_like=True, frozen=True, gc=False, tag=12):
    """The `count` ids that were forgotten longest ago are not remembered any more. A submission that was made before
    the last of those tasks ended is refused from now on: it may be a retry of one of them."""

    count: int


class Requeued(Struct, array_like=True, frozen=True, gc=False, tag=13):
    """Dead letters or cancelled tasks wait again, behind those that wait already, with fresh attempts; how they failed
    is kept. `request` is the wish that did it: the same wish, heard again, is not a second run. `edit`: what they run
    with from now on; what they were is kept."""

    at_ms: int
    task_ids: list[str]
    request: str = ""
    edit: TaskEdit | None = None


class DeadLettersPurged(Struct, array_like=True, frozen=True, gc=False, tag=14):
    """These stay as they ended but are dead letters no more; they are forgotten like any ended task."""

    at_ms: int
    task_ids: list[str]


class KindPaused(Struct, array_like=True, frozen=True, gc=False, tag=15):
    """From here on nothing of this kind is granted (or it is again); what runs goes on."""

    at_ms: int
    kind: str
    is_paused: bool


class ItemFailed(Struct, array_like=True, frozen=True, gc=False):
    """An attempt of one item of an envelope failed; the fields are those of Failed."""

    index: int
    failure: TaskFailure
    state: TaskState
    due_ms: int = 0
    started_ms: int = 0


class Opened(Struct, array_like=True, frozen=True, gc=False, tag=24):
    """An envelope is no more: the `finished` of its items have these `values` (an array), the `failed` ones are tasks
    of their own that have failed an attempt, the others are tasks of their own that wait in its place.

    lost: not "" where its host vanished, which counts for those that wait as it does in Failed."""

    at_ms: int
    task_id: str
    finished: list[int]
    values: bytes
    failed: list[ItemFailed]
    started_ms: int = 0
    lost: str = ""


class ItemsCancelled(Struct, array_like=True, frozen=True, gc=False, tag=25):
    """Items of an envelope that runs are cancelled; what they still bring counts for nothing."""

    at_ms: int
    task_id: str
    indices: list[int]


class KindLimited(Struct, array_like=True, frozen=True, gc=False, tag=16):
    """From here on so many of this kind start in a time, or run at a time; None: as many as there is room for."""

    at_ms: int
    kind: str
    limit: KindLimit | None = None


class ScheduleSet(Struct, array_like=True, frozen=True, gc=False, tag=19):
    """Added, or put in the place of the one of its name. `generation` rises in the shard and is never given again."""

    at_ms: int
    schedule: Schedule
    generation: int
    next_due_ms: int


class ScheduleRemoved(Struct, array_like=True, frozen=True, gc=False, tag=20):
    at_ms: int
    name: str
    kind: str


class SchedulePaused(Struct, array_like=True, frozen=True, gc=False, tag=21):
    """No occurrence of it comes any more, or (from `next_due_ms` on) they come again."""

    at_ms: int
    name: str
    kind: str
    is_paused: bool
    next_due_ms: int = 0


class ScheduleRan(Struct, array_like=True, frozen=True, gc=False, tag=22):
    """Its occurrences up to `due_ms` became these tasks and are dealt with: in one row, so that no end of a process
    can come between. `skipped`: so many were left out, as far as they were counted. due_ms 0: somebody's wish for
    a task more, and no occurrence."""

    at_ms: int
    name: str
    kind: str
    due_ms: int
    next_due_ms: int
    tasks: list[Submission]
    skipped: int = 0


class LockTaken(Struct, array_like=True, frozen=True, gc=False, tag=17):
    """`owner` names this one holding, `holder` who that is for people; `token` is higher than any before."""

    at_ms: int
    name: str
    owner: str
    token: int
    ttl_ms: int
    holder: str = ""


class LockReleased(Struct, array_like=True, frozen=True, gc=False, tag=18):
    """Let go of, run out, or taken away."""

    at_ms: int
    name: str
    token: int


Row = (
    EpochStarted
    | Submitted
    | Granted
    | Succeeded
    | Failed
    | Returned
    | Cancelled
    | Released
    | HostChanged
    | Forgotten
    | SnapshotTaken
    | HorizonMoved
    | Requeued
    | DeadLettersPurged
    | KindPaused
    | Opened
    | ItemsCancelled
    | KindLimited
    | ScheduleSet
    | ScheduleRemoved
    | SchedulePaused
    | ScheduleRan
    | LockTaken
    | LockReleased
)

# Rises with each row, and each form of a snapshot, that an older version does not know.
LOG_GENERATION = len(get_args(Row)) + SNAPSHOT_VERSION - 1


class LogFrame(Struct, array_like=True, frozen=True, gc=False):
    """One entry of the log. `previous` is the digest of the entry before it (b"" in the first one of a log)."""

    version: int
    epoch: int
    frame_id: int
    previous: bytes
    rows: list[Row]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LogFrame)


def encode_log_frame(frame: LogFrame) -> bytes:
    return _encoder.encode(frame)


def decode_log_frame(data: bytes, sequence: int) -> LogFrame:
    """Read one entry; LogCorrupt names the sequence when it is not one of ours."""
    try:
        frame = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise LogCorrupt(
            f"Entry {sequence} of the log cannot be read: {error}.",
            hint="Restore the data directory from a backup, or start the mesh with a new one.",
        ) from error
    if frame.version != LOG_VERSION:
        raise LogCorrupt(
            f"Entry {sequence} of the log has version {frame.version}, this process reads {LOG_VERSION}.",
            hint="Start the newer version of ohmesh again.",
        )
    return frame


def digest(data: bytes) -> bytes:
    """What the next frame carries as `previous`: 128 bits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=16).digest()
