"""Dead letters: tasks that ended without a result and that somebody may wish to have done after all, or be rid of.

Dead letters are the tasks that failed for good, used up their attempts or their time, and were not purged. A wish
names tasks or means everything that it fits (then a bounded number at a time: the answer says that there is more).
A wish carries a name of its own. A task that it queued remembers it, so that the same wish, repeated because its answer
was lost, never causes a second run, even if the task has failed again in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from ohmesh.errors import Backpressure, InvalidArgument, PayloadTooLarge
from ohmesh.model.complexity import WEIGHT_MAX
from ohmesh.model.message import ChangeTasks, Problem, TaskChange, TasksChanged
from ohmesh.model.task import TaskState
from ohmesh.protocols.queue import cancelling
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.intake import MAX_NAME_LENGTH, RETRY_AFTER_MS
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import id_bytes
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_table import REQUEUEABLE_STATES
from ohmesh.protocols.queue.waiting import is_waiting

MAX_CHANGES = 1_000
EVERYTHING_AT_ONCE = 5_000  # a row and an answer of so many ids each fit a step

_REQUEUEING = (TaskChange.RETRY, TaskChange.REPLAY)


def change_tasks(shard: Shard, wish: ChangeTasks, now_ms: int) -> TasksChanged | Problem:
    """Decide the rows of a wish; the answer, true once they are in the log, accounts for each id once."""
    problem = _problem(wish) or _problem_of_edit(shard, wish)
    if problem is not None:
        return problem
    at_ms = shard.advance(now_ms)
    up_to = wish.up_to or shard.table.next_order - 1
    too_late: list[str] = []
    unknown: list[str] = []
    done: list[str] = []
    chosen: list[Task] = []
    key_taken: list[str] = []
    if wish.everything:
        candidates = _everything(shard, wish, up_to)
        if wish.change in _REQUEUEING:
            candidates = _with_free_keys(shard, candidates, key_taken, at_ms)
        chosen = list(islice(candidates, EVERYTHING_AT_ONCE))
    else:
        for task_id in dict.fromkeys(wish.task_ids):
            task = shard.table.find(task_id)
            if task is None:
                unknown.append(task_id)
            elif _is_done(task, wish):
                done.append(task_id)
            elif _fits(shard, task, wish.change) and not (wish.edit and task.submission.items):
                chosen.append(task)
            else:
                too_late.append(task_id)
        if wish.change in _REQUEUEING:
            chosen = list(_with_free_keys(shard, chosen, key_taken, at_ms))
    if chosen:
        full = _what_is_full(shard, chosen) if wish.change in _REQUEUEING else None
        if full is not None:
            return full
        _change(shard, chosen, wish, at_ms)
    done += [task.task_id for task in chosen]
    has_more = wish.everything and len(chosen) == EVERYTHING_AT_ONCE
    return TasksChanged(done, too_late, unknown, up_to, has_more, key_taken[:EVERYTHING_AT_ONCE])


def _change(shard: Shard, tasks: list[Task], wish: ChangeTasks, at_ms: int) -> None:
    ids = [task.task_id for task in tasks]
    if wish.change is TaskChange.PURGE_WAITING:
        cancelling.cancel_all(shard, tasks, at_ms)
    elif wish.change is TaskChange.PURGE_DEAD_LETTERS:
        shard.decide(r.DeadLettersPurged(at_ms, ids), sum(map(id_bytes, ids)))
    else:
        size = sum(map(id_bytes, ids)) + len(wish.request) + len((wish.edit and wish.edit.payload) or b"")
        shard.decide(r.Requeued(at_ms, ids, wish.request, wish.edit), size)
        for task_id in ids:
            shard.enqueue(task_id, at_ms)


def _with_free_keys(shard: Shard, tasks: Iterable[Task], taken: list[str], at_ms: int) -> Iterator[Task]:
    """Those that may wait again; `taken` gets the ids of those whose unique key another has."""
    claimed: set[tuple[str, str]] = set()
    for task in tasks:
        key = (task.submission.kind, task.submission.unique)
        holder = shard.table.unique.holder(task.submission, at_ms)
        if task.submission.unique and (key in claimed or holder):
            taken.append(task.task_id)
        else:
            claimed.add(key)
            yield task


def _everything(shard: Shard, wish: ChangeTasks, up_to: int) -> Iterable[Task]:
    """What this wish queued already has a higher order than `up_to`, and it stays out by its name too."""
    if wish.change is TaskChange.PURGE_WAITING:
        kinds = [wish.kind] if wish.kind else list(shard.table.depth)
        candidates: Iterable[Task] = (task for kind in kinds for task in shard.waiting.of_kind(kind))
    else:
        candidates = shard.table.dead_letters.values()
    return (
        task
        for task in candidates
        if task.order <= up_to
        and (not wish.kind or task.submission.kind == wish.kind)
        and (task.request != wish.request or wish.change not in _REQUEUEING)
    )


def _is_done(task: Task, wish: ChangeTasks) -> bool:
    """The wish was heard before, or somebody else's had the same effect."""
    if wish.change in _REQUEUEING:
        return task.request == wish.request
    if wish.change is TaskChange.PURGE_DEAD_LETTERS:
        return task.is_purged
    return task.state is TaskState.CANCELLED


def _fits(shard: Shard, task: Task, change: TaskChange) -> bool:
    """A cancelled task whose host has not let go yet cannot be queued again yet."""
    if change is TaskChange.RETRY:
        return task.state in REQUEUEABLE_STATES and not task.lease
    if change is TaskChange.PURGE_WAITING:
        return is_waiting(task)
    return task.task_id in shard.table.dead_letters and not task.lease


def _what_is_full(shard: Shard, tasks: list[Task]) -> Problem | None:
    for kind, count in Counter(task.submission.kind for task in tasks).items():
        depth = shard.table.depth.get(kind)
        present = depth.total() if depth is not None else 0
        if present + count > shard.config.depth_tasks:
            return Problem(
                Backpressure.code,
                f"Kind {kind!r} has {present} tasks and {count} are to wait again; its limit is "
                f"{shard.config.depth_tasks}.",
                RETRY_AFTER_MS,
            )
    held_bytes = shard.table.held_bytes + sum(len(task.submission.payload) for task in tasks)
    if held_bytes > shard.config.held_bytes:
        return Problem(
            Backpressure.code,
            f"With these the arguments of the tasks that have not ended would take {held_bytes} bytes; the limit is "
            f"{shard.config.held_bytes} (held_bytes).",
            RETRY_AFTER_MS,
        )
    return None


def _problem(wish: ChangeTasks) -> Problem | None:
    if not 0 < len(wish.request) <= MAX_NAME_LENGTH or len(wish.task_ids) > MAX_CHANGES:
        return Problem(
            InvalidArgument.code,
            f"A wish has a name of 1 to {MAX_NAME_LENGTH} characters and names at most {MAX_CHANGES} tasks.",
        )
    if wish.everything and (wish.task_ids or wish.change is TaskChange.RETRY):
        return Problem(
            InvalidArgument.code, "Either tasks are named or everything is meant, which no retry is."
        )
    return None


def _problem_of_edit(shard: Shard, wish: ChangeTasks) -> Problem | None:
    edit, limit_bytes = wish.edit, shard.config.payload_bytes
    if edit is None:
        return None
    if wish.change is not TaskChange.REPLAY or wish.everything or len(wish.task_ids) != 1:
        return Problem(InvalidArgument.code, "One dead letter is edited at a time, and runs again then.")
    if len(edit.payload or b"") > limit_bytes:
        text = f"The arguments take {len(edit.payload or b'')} bytes, the limit is {limit_bytes}."
        return Problem(PayloadTooLarge.code, text)
    numbers_fit = (
        0 <= (edit.priority or 0) <= 3
        and (edit.timeout_ms or 0) >= 0
        and 0 < (edit.weight or 1) <= WEIGHT_MAX
    )
    if not numbers_fit:
        text = f"A priority is from 0 to 3, a weight from 1 to {WEIGHT_MAX}, and no time is negative."
        return Problem(InvalidArgument.code, text)
    return None
