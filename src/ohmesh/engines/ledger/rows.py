"""Between the vocabulary of the mesh and rows of SQL: plain tuples of int, str and bytes, the same on both databases.

Invariants: a row holds exactly what is stored, so its hash can be computed before it is written and after it is read;
no text holds what PostgreSQL refuses (NUL, lone surrogates); nothing is longer than the config allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.errors import InvalidArgument
from ohmesh.model.task import FINAL_STATES, TaskFailure, TaskState, TaskView
from ohmesh.ports.ledger import Event

Row = tuple[int | str | bytes, ...]

FINAL_STATE_TEXTS = tuple(sorted(state.value for state in FINAL_STATES))

_TEXT_OF_STATE = {state: state.value for state in FINAL_STATES}
_STATE_OF_TEXT = {state.value: state for state in FINAL_STATES}
_CUT = " ... (cut)"
_failures_encoder = msgspec.json.Encoder()
_failures_decoder = msgspec.json.Decoder(tuple[TaskFailure, ...])


def task_row(entry: int, view: TaskView, config: LedgerConfig) -> Row:
    """The columns of `tasks`, in their order."""
    state = _TEXT_OF_STATE.get(view.state)
    if state is None:
        raise InvalidArgument(
            f"Task {view.task_id} is {TaskState(view.state).value}, and the ledger keeps tasks that have ended.",
            hint=f"Record it once it is one of {', '.join(FINAL_STATE_TEXTS)}.",
        )
    value, omitted_bytes = view.value, view.value_omitted_bytes
    if len(value) > config.value_bytes_max:
        value, omitted_bytes = b"", len(value)
    return (
        entry,
        _storable(view.task_id),
        _storable(view.kind),
        state,
        int(view.priority),
        view.attempts,
        view.max_attempts,
        view.submitted_ms,
        view.started_ms,
        view.finished_ms,
        view.due_ms,
        _storable(view.host),
        _storable(view.agent),
        _failures_text(view.failures, config) if view.failures else "",
        value,
        omitted_bytes,
        view.order,
        view.complexity,
        view.items,
        ",".join(map(str, view.opened)) if view.opened else "",
        view.timeout_ms,
    )


def task_view(row: Sequence[object]) -> TaskView:
    """What `task_row` was made of. ValueError or msgspec.DecodeError when the row was not written by us."""
    (
        _,
        task_id,
        kind,
        state,
        priority,
        attempts,
        max_attempts,
        submitted_ms,
        started_ms,
        finished_ms,
        due_ms,
    ) = row[:11]
    (host, agent, failures, value, value_omitted_bytes, order, complexity, items, opened, timeout_ms) = row[
        11:
    ]
    return msgspec.convert(
        {
            "task_id": task_id,
            "kind": kind,
            "state": state,
            "priority": priority,
            "attempts": attempts,
            "max_attempts": max_attempts,
            "submitted_ms": submitted_ms,
            "started_ms": started_ms,
            "finished_ms": finished_ms,
            "due_ms": due_ms,
            "host": host,
            "agent": agent,
            "failures": _failures_decoder.decode(str(failures)) if failures else (),
            "value": value,
            "value_omitted_bytes": value_omitted_bytes,
            "order": order,
            "complexity": complexity,
            "items": items,
            "opened": tuple(map(int, str(opened).split(","))) if opened else (),
            "timeout_ms": timeout_ms,
        },
        TaskView,
        builtin_types=(bytes,),
    )


def event_row(entry: int, event: Event, config: LedgerConfig) -> Row:
    """The columns of `events`, in their order."""
    detail = _cut(_storable(event.detail), config.detail_chars_max)
    return (entry, event.at_ms, _storable(event.kind), _storable(event.subject), detail)


def event_of(row: Sequence[object]) -> Event:
    _, at_ms, kind, subject, detail = row
    return msgspec.convert({"at_ms": at_ms, "kind": kind, "subject": subject, "detail": detail}, Event)


def _storable(text: str) -> str:
    # isprintable is one fast pass, false for the two things no database takes and for rare harmless ones.
    if text.isprintable():
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _failures_text(failures: tuple[TaskFailure, ...], config: LedgerConfig) -> str:
    """JSON, for people with a SQL prompt. The newest failures survive when there are too many or they say too much."""
    chars_max = config.failures_chars_max
    kept = failures[-max(1, chars_max // 256) :]
    if sum(len(each.message) + len(each.traceback) for each in kept) > chars_max:
        share = max(1, chars_max // (3 * len(kept)))
        kept = tuple(
            TaskFailure(each.kind[:256], _cut(each.message, share), _cut(each.traceback, share))
            for each in kept
        )
    try:
        return _failures_encoder.encode(kept).decode("utf-8")
    except UnicodeEncodeError:
        clean = [TaskFailure(_storable(f.kind), _storable(f.message), _storable(f.traceback)) for f in kept]
        return _failures_encoder.encode(clean).decode("utf-8")


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[:chars_max] + _CUT
