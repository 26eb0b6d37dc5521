"""How tasks come into a shard: submissions are checked, deduplicated and bounded; ends are asked for."""

from __future__ import annotations

import msgspec

from ohmesh.errors import Backpressure, InvalidArgument, PayloadTooLarge, SubmissionTooOld
from ohmesh.model.agent import HOST_CAPABILITY
from ohmesh.model.complexity import WEIGHT_MAX
from ohmesh.model.envelope import MAX_ITEMS, split
from ohmesh.model.message import Refusal
from ohmesh.model.subject import is_name
from ohmesh.model.task import FINAL_STATES, Submission
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES, failure_bytes, id_bytes, text_bytes
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.task_view import result

MAX_NAME_LENGTH = 64
MAX_REQUIRES = 16
MAX_UNIQUE_LENGTH = 256
MAX_UNIQUE_FOR_MS = 31_536_000_000  # a year
REFUSAL_BYTES = 300
RESULT_BYTES = 128
RETRY_AFTER_MS = 1_000
CLOCK_TOLERANCE_MS = (
    60_000  # clocks are this near each other, and a submission is this old at most, or something is odd
)


def submit(shard: Shard, client: str, submissions: list[Submission], now_ms: int) -> None:
    """Take new tasks; confirm those that are here already (a retry) without taking them again.

    `client` hears Accepted for what is in the log then, the reason for what is not, and the end of each task.
    """
    at_ms = shard.advance(now_ms)
    tasks, parked = shard.table.tasks, shard.table.parked
    taken: dict[str, Submission] = {}
    keys: set[tuple[str, str]] = set()
    size = waiting = held = 0
    for submission in submissions:
        task_id = submission.task_id
        if task_id in taken:
            continue
        if task_id in tasks or (parked.count and parked.find(task_id)):
            _confirm(shard, client, submission)
            continue
        refusal = _refusal(shard, submission, at_ms, (size, waiting, held))
        if refusal is not None:
            shard.room(REFUSAL_BYTES).client(client).refused.append(refusal)
            continue
        cost = len(submission.payload) + ROW_OVERHEAD_BYTES + sum(map(len, submission.requires))
        key = (submission.kind, submission.unique) if submission.unique else None
        cost += text_bytes(submission.unique) if key else 0
        if taken and (size + cost > shard.config.step_bytes or (key and key in keys)):
            _take(shard, client, taken, size, at_ms)
            taken, keys, size, waiting, held = {}, set(), 0, 0, 0
        if key and (holder := shard.table.unique.holder(submission, at_ms)):
            _join(shard, client, task_id, holder)
            continue
        waiting += submission.items or 1
        held += len(submission.payload)
        taken[task_id] = _by_our_clock(submission, at_ms) if submission.due_ms else submission
        if key:
            keys.add(key)
        size += cost
    if taken:
        _take(shard, client, taken, size, at_ms)


def _by_our_clock(submission: Submission, at_ms: int) -> Submission:
    """A delay counts from when the client asked; a client whose clock is far off must not make hours of it."""
    skew_ms = at_ms - submission.created_ms
    if not submission.created_ms or abs(skew_ms) <= CLOCK_TOLERANCE_MS:
        return submission
    return msgspec.structs.replace(submission, due_ms=max(1, submission.due_ms + skew_ms))


def _take(shard: Shard, client: str, taken: dict[str, Submission], size: int, at_ms: int) -> None:
    shard.decide(r.Submitted(at_ms, list(taken.values())), size)
    tasks = shard.table.tasks
    add = shard.waiting.add
    interest = shard.interest
    for task_id in taken:
        task = tasks.get(task_id)
        if task is None:
            _wait_parked(shard, client, task_id, at_ms)
        else:
            interest[task_id] = client
            add(task, at_ms)
    news = shard.step.client(client)
    news.accepted.extend(taken)
    news.unserved.update(
        kind for kind in {one.kind for one in taken.values()} if not shard.table.serves(kind)
    )


def _wait_parked(shard: Shard, client: str, task_id: str, at_ms: int) -> None:
    parked = shard.table.parked
    ref = parked.find(task_id)
    parked.set_note(ref, client)
    shard.waiting.add_parked(ref, at_ms)


def _confirm(shard: Shard, client: str, submission: Submission) -> None:
    """What was made at another moment or of other arguments than what is here is no repetition: it is its key again.
    Of an ended task the arguments are gone."""
    if not shard.is_clogged():
        task = shard.table.whole(submission.task_id)
        assert task is not None
        news = shard.room(id_bytes(submission.task_id)).client(client)
        held = task.submission
        is_repeated = held.created_ms == submission.created_ms and held.payload in (b"", submission.payload)
        (news.accepted if is_repeated else news.existing).append(submission.task_id)
        _tell_end(shard, client, task)


def _join(shard: Shard, client: str, task_id: str, holder: str) -> None:
    """The task of the same unique key is theirs too, and how it has ended or will. It may be forgotten by now."""
    if not shard.is_clogged():
        shard.room(id_bytes(task_id) + id_bytes(holder)).client(client).joined.append((task_id, holder))
        watch(shard, client, [holder])


def watch(shard: Shard, client: str, task_ids: list[str]) -> None:
    """Answer at once for what has ended and what is not here; the rest is announced when it ends."""
    if shard.is_clogged():
        return
    tasks, parked = shard.table.tasks, shard.table.parked
    for task_id in task_ids:
        # After a takeover clients ask for all that they wait for, and most of it may be parked.
        if parked.count and task_id not in tasks and (ref := parked.find(task_id)):
            shard.subscribe_parked(client, ref)
            continue
        task = shard.table.find(task_id)
        if task is None:
            shard.room(id_bytes(task_id)).client(client).unknown.append(task_id)
        else:
            _tell_end(shard, client, task)


def _tell_end(shard: Shard, client: str, task: Task) -> None:
    """Now or when it comes."""
    if task.state in FINAL_STATES:
        ended = result(task)
        size = len(ended.value) + (failure_bytes(ended.failure) if ended.failure else 0)
        shard.room(size + RESULT_BYTES).client(client).finished.append(ended)
    else:
        shard.subscribe(client, task.submission.task_id)


def _refusal(shard: Shard, submission: Submission, at_ms: int, taken: tuple[int, int, int]) -> Refusal | None:
    """`taken`, and not decided yet: bytes for the log, tasks, bytes of payload."""
    config, table = shard.config, shard.table
    task_id = submission.task_id
    if not is_well_formed(submission):
        return Refusal(
            task_id[:MAX_NAME_LENGTH],
            InvalidArgument.code,
            f"A task needs an id of 1 to {MAX_NAME_LENGTH} ASCII characters, a kind of so many letters, digits, '-' "
            "and '_' (the first one a letter or digit), a priority from 0 to 3, "
            f"a weight from 1 to {WEIGHT_MAX}, at most {MAX_REQUIRES} required capabilities of such names, "
            f"a unique key of at most {MAX_UNIQUE_LENGTH} characters (an envelope has none), wanted for a year at "
            "most, no negative times or "
            f"attempts, and in an envelope an array of its items, {MAX_ITEMS} at most.",
        )
    if len(submission.payload) > config.payload_bytes:
        return Refusal(
            task_id,
            PayloadTooLarge.code,
            f"The arguments take {len(submission.payload)} bytes, the limit is {config.payload_bytes}.",
        )
    if submission.items and task_id in table.came_out:
        return Refusal(
            task_id,
            InvalidArgument.code,
            f"Tasks of an earlier envelope {task_id} are here still; a new one needs an id of its own.",
        )
    if task_id in table.forgotten or 0 < submission.created_ms <= table.horizon_ms:
        return Refusal(
            task_id,
            SubmissionTooOld.code,
            "The task may have run and been forgotten since this submission was made "
            f"({submission.created_ms}); submissions made up to {table.horizon_ms} are refused. It came at {at_ms}: if "
            "it was made just before, the clock of the submitting machine is behind.",
        )
    return _what_is_full(shard, submission, at_ms, taken)


def _what_is_full(
    shard: Shard, submission: Submission, at_ms: int, taken: tuple[int, int, int]
) -> Refusal | None:
    undecided_bytes, waiting, held = taken
    config, table, task_id = shard.config, shard.table, submission.task_id
    depth = table.depth.get(submission.kind)
    present = depth.total() if depth is not None else 0
    if present + waiting >= config.depth_tasks:
        return Refusal(
            task_id,
            Backpressure.code,
            f"Kind {submission.kind!r} has {present + waiting} tasks, its limit is {config.depth_tasks}.",
            RETRY_AFTER_MS,
        )
    if table.held_bytes + held + len(submission.payload) > config.held_bytes:
        return Refusal(
            task_id,
            Backpressure.code,
            f"The arguments of the tasks here that have not ended take {table.held_bytes + held} bytes, and these "
            f"{len(submission.payload)}; the limit is {config.held_bytes} (held_bytes).",
            RETRY_AFTER_MS,
        )
    if submission.unique_for_ms and table.unique.is_full(config.kept_keys, at_ms):
        return Refusal(
            task_id,
            Backpressure.code,
            f"Unique keys of {len(table.unique.kept)} tasks that have ended are kept; the limit is {config.kept_keys} "
            "(kept_keys).",
            RETRY_AFTER_MS,
        )
    if shard.undecided_bytes + undecided_bytes > config.undecided_bytes:
        return Refusal(
            task_id,
            Backpressure.code,
            f"{shard.undecided_bytes} bytes wait for the log, the limit is {config.undecided_bytes}.",
            RETRY_AFTER_MS,
        )
    return None


def is_well_formed(submission: Submission) -> bool:
    """What comes from outside and stands in rows has a bound, or a row could be too large for the log."""
    task_id, kind = submission.task_id, submission.kind
    return (
        0 < len(task_id) <= MAX_NAME_LENGTH
        and task_id.isascii()
        and is_name(kind)
        and 0 <= submission.priority <= 3
        and submission.timeout_ms >= 0
        and submission.max_attempts >= 0
        and 0 < submission.weight <= WEIGHT_MAX
        and 0 <= submission.unique_for_ms <= MAX_UNIQUE_FOR_MS
        and (not submission.unique_for_ms or bool(submission.unique))
        and (not submission.unique or (len(submission.unique) <= MAX_UNIQUE_LENGTH and not submission.items))
        and (not submission.requires or _are_names(submission.requires))
        and (not submission.items or _is_envelope(submission))
    )


def _is_envelope(submission: Submission) -> bool:
    """Of what it says: whoever opens it later must find that many items."""
    try:
        return 0 < submission.items <= MAX_ITEMS and len(split(submission.payload)) == submission.items
    except InvalidArgument:
        return False


def _are_names(words: tuple[str, ...]) -> bool:
    return len(words) <= MAX_REQUIRES and all(
        0 < len(word.removeprefix(HOST_CAPABILITY).encode()) <= MAX_NAME_LENGTH for word in words
    )
