"""Schedules: what is to become a task again and again, and what is asked and told about them.

A schedule is held by the shard of its kind; its messages travel as those of message.py do: tagged, extended at their
ends only.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct


class CatchUp(StrEnum):
    """What becomes of occurrences that came while nobody dispatched."""

    NONE = "none"  # they are left out
    LAST = "last"  # the latest of them runs
    ALL = "all"  # each runs, up to a bound


class Overlap(StrEnum):
    ALLOW = "allow"
    SKIP = "skip"  # an occurrence is left out while the task of the one before it has not ended


class Schedule(Struct, array_like=True, frozen=True, gc=False):
    """Either `cron` (in the local time of `timezone`) or `every_ms`, counted from when the schedule was added.

    The rest is that of the tasks to be, as in Submission.
    """

    name: str
    kind: str
    payload: bytes
    cron: str = ""
    timezone: str = "UTC"
    every_ms: int = 0
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.ALLOW
    priority: int = 1
    timeout_ms: int = 0
    max_attempts: int = 0
    requires: tuple[str, ...] = ()
    weight: int = 1


class ScheduleView(Struct, array_like=True, frozen=True, gc=False):
    """A schedule as a person asks for it. Times are mesh time in milliseconds since 1970; 0 is not (yet).

    schedule: with its payload where it was asked for by name. runs: tasks made; skipped: occurrences left out.
    last_state: of the task `last_task_id`; "" where there is none, or where it is not held any more.
    """

    schedule: Schedule
    generation: int
    created_ms: int
    next_due_ms: int
    paused_ms: int = 0
    last_due_ms: int = 0
    last_task_id: str = ""
    last_state: str = ""
    runs: int = 0
    skipped: int = 0


class SetSchedule(Struct, array_like=True, frozen=True, gc=False, tag=57):
    """Add a schedule, or (`replaces`) put it in place of the one of its name. Safe to repeat: what is so already
    stays as it is."""

    schedule: Schedule
    replaces: bool = False


class ScheduleChange(IntEnum):
    REMOVE = 1
    PAUSE = 2
    RESUME = 3
    RUN = 4  # one task more, now; the occurrences stay as they are


class ChangeSchedule(Struct, array_like=True, frozen=True, gc=False, tag=58):
    """`request` names the wish: the same RUN, heard again, is not a second task."""

    name: str
    change: ScheduleChange
    request: str


class ListSchedules(Struct, array_like=True, frozen=True, gc=False, tag=59):
    """By name, behind the name `after`; with `name` that one, with its payload."""

    name: str = ""
    kind: str = ""
    after: str = ""
    limit: int = 100


class SchedulePage(Struct, array_like=True, frozen=True, gc=False, tag=60):
    """Also the answer to a change: the schedule as it is then; none where there is none."""

    schedules: list[ScheduleView]
    after: str = ""
    total: int = 0
