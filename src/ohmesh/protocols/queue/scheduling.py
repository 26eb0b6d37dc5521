"""Schedules: what becomes a task again and again, decided by whoever dispatches the kind.

A due occurrence is a row that makes the task and moves the schedule on, both at once; its id follows from schedule,
generation and occurrence. So whichever process ends in whatever moment, its successor finds an occurrence either
dealt with or still due, and never runs one twice.

Occurrences that came while nobody dispatched are caught up as the schedule says, at most CAUGHT_UP of them. Where the
kind is full an occurrence waits until there is room. A paused schedule has none, and catches none up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.model.identity import encode_base32
from ohmesh.model.message import Problem
from ohmesh.model.schedule import (
    CatchUp,
    ChangeSchedule,
    ListSchedules,
    Overlap,
    Schedule,
    ScheduleChange,
    SchedulePage,
    ScheduleView,
    SetSchedule,
)
from ohmesh.model.subject import is_name
from ohmesh.model.task import FINAL_STATES, Submission
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.intake import MAX_NAME_LENGTH, RETRY_AFTER_MS, is_well_formed
from ohmesh.protocols.queue.schedule_table import ScheduleRecord, is_live
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES

CAUGHT_UP = 1_000
RUNS_AT_ONCE = 200
PAYLOAD_BYTES = 65_536
EVERY_MIN_MS = 1_000
TEXT_LENGTH = 120
MAX_PAGE = 1_000
MAX_PAGE_BYTES = 400_000
VIEW_BYTES = 400
_ID_LENGTH = 26


# What is due


def run_due(shard: Shard, now_ms: int) -> None:
    """Call often: what is due becomes tasks, a bounded number of schedules at a time."""
    at_ms = shard.advance(now_ms)
    schedules = shard.table.schedules
    if at_ms < schedules.earliest_ms:
        return
    due = [each for each in schedules.records.values() if is_live(each) and each.next_due_ms <= at_ms]
    due.sort(key=lambda record: record.next_due_ms)
    for record in due[:RUNS_AT_ONCE]:
        if shard.is_clogged():
            return
        _run(shard, record, at_ms)


def _run(shard: Shard, record: ScheduleRecord, at_ms: int) -> None:
    schedule, policies = record.schedule, shard.policies
    found = policies.latest_due_ms(schedule, record.created_ms, record.next_due_ms, at_ms, CAUGHT_UP)
    chosen = _chosen(shard, record, found, at_ms)
    cost = len(schedule.payload) + ROW_OVERHEAD_BYTES
    later = chosen[max(1, shard.config.step_bytes // cost) :]
    chosen = chosen[: len(chosen) - len(later)]
    tasks = [_task(record, occurrence_id(record, str(due_ms)), due_ms) for due_ms in chosen]
    tasks = [task for task in tasks if not _is_known(shard, task.task_id)]
    if not _has_room(shard, schedule, len(tasks)):
        return
    next_due_ms = later[0] if later else policies.next_due_ms(schedule, record.created_ms, at_ms)
    last_due_ms = chosen[-1] if later else found[-1]
    skipped = len(found) - len(chosen) - len(later)
    row = r.ScheduleRan(at_ms, schedule.name, schedule.kind, last_due_ms, next_due_ms, tasks, skipped)
    _decide_run(shard, row, cost * len(tasks))


def _chosen(shard: Shard, record: ScheduleRecord, found: list[int], at_ms: int) -> list[int]:
    """Which of the occurrences that are due become tasks."""
    schedule = record.schedule
    if schedule.overlap is Overlap.SKIP:
        former = shard.table.whole(record.last_task_id)
        if former is not None and former.state not in FINAL_STATES:
            return []
    if schedule.catch_up is CatchUp.ALL and schedule.overlap is Overlap.ALLOW:
        return found
    if schedule.catch_up is CatchUp.NONE and at_ms - found[-1] > shard.config.schedule_late_ms:
        return []
    return found[-1:]


def _decide_run(shard: Shard, row: r.ScheduleRan, size_bytes: int) -> None:
    shard.decide(row, size_bytes)
    for task in row.tasks:
        shard.enqueue(task.task_id, row.at_ms)


def _task(record: ScheduleRecord, task_id: str, due_ms: int) -> Submission:
    schedule = record.schedule
    return Submission(
        task_id,
        schedule.kind,
        schedule.payload,
        schedule.priority,
        due_ms,
        due_ms,
        schedule.timeout_ms,
        schedule.max_attempts,
        schedule.requires,
        schedule.weight,
    )


def occurrence_id(record: ScheduleRecord, occurrence: str) -> str:
    """The same for the same occurrence of the same generation of a schedule, whoever asks."""
    text = f"{record.schedule.name}:{record.generation}:{occurrence}"
    digest = hashlib.blake2b(text.encode(), digest_size=17, person=b"ohmesh.schedule").digest()
    return encode_base32(int.from_bytes(digest), _ID_LENGTH)


def _is_known(shard: Shard, task_id: str) -> bool:
    return shard.table.holds(task_id) or task_id in shard.table.forgotten


def _has_room(shard: Shard, schedule: Schedule, count: int) -> bool:
    depth = shard.table.depth.get(schedule.kind)
    held_bytes = shard.table.held_bytes + count * len(schedule.payload)
    return (
        depth.total() if depth is not None else 0
    ) + count <= shard.config.depth_tasks and held_bytes <= shard.config.held_bytes


# What is wished


def set_schedule(shard: Shard, wish: SetSchedule, now_ms: int) -> SchedulePage | Problem:
    schedule = wish.schedule
    problem = _problem(schedule)
    if problem is not None:
        return problem
    run_due(shard, now_ms)
    records = shard.table.schedules.records
    present = records.get(schedule.name)
    if present is not None and present.schedule == schedule:
        return _page(shard, [present])
    if present is not None and not wish.replaces:
        text = f"name: a schedule {schedule.name!r} exists and is another one; say --replace (replace=True in Python)."
        return Problem(InvalidArgument.code, text)
    if present is None and len(records) >= shard.config.schedules:
        return Problem(InvalidArgument.code, f"There are {len(records)} schedules, which is the limit.")
    at_ms = shard.advance(now_ms)
    try:
        next_due_ms = shard.policies.next_due_ms(schedule, at_ms, at_ms)
    except InvalidArgument as error:
        return Problem(error.code, error.message)
    if not next_due_ms:
        return Problem(InvalidArgument.code, f"cron: {schedule.cron!r} is never due.")
    generation = shard.table.schedules.next_generation
    shard.decide(r.ScheduleSet(at_ms, schedule, generation, next_due_ms), _size(schedule))
    return _page(shard, [records[schedule.name]])


def change_schedule(shard: Shard, wish: ChangeSchedule, now_ms: int) -> SchedulePage | Problem:
    """The answer holds the schedule as it is then, and as it was where it is removed."""
    if not 0 < len(wish.request) <= MAX_NAME_LENGTH:
        return Problem(InvalidArgument.code, f"A wish has a name of 1 to {MAX_NAME_LENGTH} characters.")
    record = shard.table.schedules.records.get(wish.name)
    if record is None:
        return SchedulePage([])
    run_due(shard, now_ms)  # what was due before the wish is no part of it
    at_ms = shard.advance(now_ms)
    if wish.change is ScheduleChange.RUN:
        return _run_now(shard, record, wish.request, at_ms)
    page = _page(shard, [record])
    if wish.change is ScheduleChange.REMOVE:
        shard.decide(r.ScheduleRemoved(at_ms, wish.name, record.schedule.kind), len(wish.name))
        return page
    is_paused = wish.change is ScheduleChange.PAUSE
    if is_paused == bool(record.paused_ms):
        return page
    next_due_ms = 0
    if not is_paused:
        next_due_ms = shard.policies.next_due_ms(record.schedule, record.created_ms, at_ms)
    shard.decide(
        r.SchedulePaused(at_ms, wish.name, record.schedule.kind, is_paused, next_due_ms), len(wish.name)
    )
    return _page(shard, [record])


def _run_now(shard: Shard, record: ScheduleRecord, request: str, at_ms: int) -> SchedulePage | Problem:
    schedule = record.schedule
    task_id = occurrence_id(record, f"wish {request}")
    if not _is_known(shard, task_id):
        if not _has_room(shard, schedule, 1):
            limits = f"{shard.config.depth_tasks} tasks, and {shard.config.held_bytes} bytes of arguments in its shard"
            text = f"Kind {schedule.kind!r} is full: its limits are {limits}."
            return Problem(Backpressure.code, text, RETRY_AFTER_MS)
        row = r.ScheduleRan(
            at_ms, schedule.name, schedule.kind, 0, record.next_due_ms, [_task(record, task_id, at_ms)]
        )
        _decide_run(shard, row, len(schedule.payload) + ROW_OVERHEAD_BYTES)
    view = msgspec.structs.replace(_view(shard, record), last_task_id=task_id)
    return SchedulePage([view], total=1)


def list_schedules(shard: Shard, query: ListSchedules) -> SchedulePage:
    records = shard.table.schedules.records
    if query.name:
        return _page(shard, [records[query.name]] if query.name in records else [])
    names = sorted(
        name for name, each in records.items() if not query.kind or each.schedule.kind == query.kind
    )
    limit = max(1, min(query.limit, MAX_PAGE))
    views: list[ScheduleView] = []
    size, after = 0, ""
    for name in names:
        if name <= query.after:
            continue
        schedule = msgspec.structs.replace(records[name].schedule, payload=b"")
        size += VIEW_BYTES + _size(schedule)
        if len(views) == limit or (size > MAX_PAGE_BYTES and views):
            after = views[-1].schedule.name
            break
        views.append(msgspec.structs.replace(_view(shard, records[name]), schedule=schedule))
    return SchedulePage(views, after, len(names))


def _page(shard: Shard, records: Iterable[ScheduleRecord]) -> SchedulePage:
    views = [_view(shard, record) for record in records]
    return SchedulePage(views, total=len(views))


def _view(shard: Shard, record: ScheduleRecord) -> ScheduleView:
    last = shard.table.whole(record.last_task_id)
    return ScheduleView(
        record.schedule,
        record.generation,
        record.created_ms,
        0 if record.paused_ms else record.next_due_ms,
        record.paused_ms,
        record.last_due_ms,
        record.last_task_id,
        last.state.value if last is not None else "",
        record.runs,
        record.skipped,
    )


def _size(schedule: Schedule) -> int:
    return (
        len(schedule.payload) + sum(map(len, schedule.requires)) + len(schedule.cron) + len(schedule.timezone)
    )


def _problem(schedule: Schedule) -> Problem | None:
    """What stands in rows and in memory has a bound; the rest is the policy's to refuse."""
    probe = ScheduleRecord(schedule, 0, 0, 0)
    if not is_name(schedule.name) or not is_well_formed(_task(probe, "probe", 0)):
        text = f"{schedule.name!r} has no name as kinds have, or its task is none that may be submitted."
    elif len(schedule.payload) > PAYLOAD_BYTES:
        text = f"arguments: they take {len(schedule.payload)} bytes, those of a schedule {PAYLOAD_BYTES} at most."
    elif len(schedule.cron) > TEXT_LENGTH or len(schedule.timezone) > TEXT_LENGTH:
        text = f"cron: it and the time zone have {TEXT_LENGTH} characters at most."
    elif bool(schedule.cron) == bool(schedule.every_ms) or (
        schedule.every_ms and schedule.every_ms < EVERY_MIN_MS
    ):
        text = "cron: either cron says when or every, which is at least a second."
    else:
        return None
    return Problem(InvalidArgument.code, text)
