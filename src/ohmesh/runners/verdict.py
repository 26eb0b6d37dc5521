"""What an exception of user code means for its task, in words that can be stored whatever was raised."""

from __future__ import annotations

import random
import traceback
from types import TracebackType

from ohmesh.errors import HandlerError, Permanent, ResultRefused, RetryLater
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure
from ohmesh.policies.failure import RetryRule

_OWN_MODULES = "ohmesh."
_MESSAGE_MAX_CHARS = 2000
_NS_PER_MS = 1_000_000


def failed(ran: tuple[Grant, int, int], error: BaseException, rule: RetryRule, *, max_chars: int) -> Outcome:
    """The outcome of a task that ran from one time to another and whose code raised `error`. What says itself how it is
    to be treated (Permanent, RetryLater) is; else `rule` decides. At most `max_chars` of its own frames are kept."""
    grant, started_ms, ended_ms = ran
    permanent = isinstance(error, Permanent) or (
        not isinstance(error, HandlerError) and rule.gives_up(type(error))
    )
    return Outcome(
        grant.lease,
        grant.task_id,
        OutcomeStatus.FAILED_PERMANENTLY if permanent else OutcomeStatus.FAILED,
        failure=TaskFailure(type(error).__name__, _message(error), _trace(error, max_chars)),
        started_ms=started_ms,
        ended_ms=ended_ms,
        retry_after_ms=-1 if permanent else _delay_ms(grant, error, rule),
    )


def stopped(grant: Grant, started_ns: int, ended_ns: int, wall_offset_ns: int) -> Outcome:
    """The outcome of a streaming task that ended between two items because it was asked to."""
    is_overdue = 0 < grant.timeout_ms * _NS_PER_MS < ended_ns - started_ns
    status, failure = OutcomeStatus.CANCELLED, None
    if is_overdue:
        status = OutcomeStatus.TIMED_OUT
        failure = TaskFailure("timeout", f"It ran past its timeout of {grant.timeout_ms} ms and was stopped.")
    started_ms, ended_ms = ((one + wall_offset_ns) // _NS_PER_MS for one in (started_ns, ended_ns))
    return Outcome(grant.lease, grant.task_id, status, b"", failure, started_ms, ended_ms)


def check_size(value: bytes, max_bytes: int) -> bytes:
    """`value`, or ResultRefused when it is larger than one task may return."""
    if len(value) <= max_bytes:
        return value
    raise ResultRefused(
        f"The result takes {len(value)} bytes; at most {max_bytes} are stored.",
        hint="Write it to a file or object store and return where it is.",
    )


def _delay_ms(grant: Grant, error: BaseException, rule: RetryRule) -> int:
    if not isinstance(error, RetryLater):
        # The same for the same attempt, so that a simulated run replays; another one for each task.
        return rule.delay_ms(grant.attempt, random.Random(f"{grant.task_id} {grant.attempt}"))
    try:
        return max(0, int(error.delay_ms))
    except (TypeError, ValueError, OverflowError):
        return -1


def _message(error: BaseException) -> str:
    try:
        message = str(error)
    except BaseException as inner:  # noqa: BLE001 - __str__ is user code too
        message = f"(its message cannot be shown: __str__ raised {type(inner).__name__})"
    return _storable(message[:_MESSAGE_MAX_CHARS])


def _trace(error: BaseException, max_chars: int) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _without_own_frames(error.__traceback__))
    except BaseException as inner:  # noqa: BLE001 - formatting calls user code: __str__, __cause__, __notes__
        return f"(its traceback cannot be shown: {type(inner).__name__})"
    text = "".join(lines)
    if len(text) > max_chars:
        text = "... (shortened)\n" + text[-max_chars:]
    return _storable(text)


def _without_own_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__", "")).startswith(_OWN_MODULES):
        frames = frames.tb_next
    return frames


def _storable(text: str) -> str:
    """Lone surrogates cannot be encoded; they are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
