"""Questions about the past, and what the historian answers: bodies of frames like those of `model.message`.

    request -> reply    AskHistory -> HistoryPage, AskEvents -> EventPage, DescribeHistory -> HistoryDescription;
                        any of them -> Problem

Every answer says how many entries of the shards' logs are not history yet (`behind`), counted before the question was
put to the ledger: with 0 the answer lacks nothing that had happened when it was asked. UNKNOWN_BEHIND: a projector
has just begun and does not know yet.
"""

from __future__ import annotations

from msgspec import Struct

from ohmesh.model.message import Problem
from ohmesh.model.task import TaskView

UNKNOWN_BEHIND = -1
HISTORY_EVENTS = (
    *(
        "host_joined",
        "host_left",
        "host_offline",
        "epoch_started",
        "epoch_met",
        "dead_letter",
        "dead_letter_edited",
    ),
    *("snapshot_taken", "tail_lost", "ghost_passed", "log_corrupt", "history_gap", "history_resumed"),
)
"""What is kept beside the ends of tasks, by kind."""


class AskHistory(Struct, array_like=True, frozen=True, gc=False, tag=61):
    """Tasks that have ended, the last end first; all given conditions hold, "" and 0 are none.

    since_ms <= finished_ms < until_ms. `after`: the cursor of the page before. A page may hold fewer than `limit`
    although there are more: one message has its size.
    """

    task_ids: list[str] = []
    kind: str = ""
    state: str = ""
    host: str = ""
    since_ms: int = 0
    until_ms: int = 0
    limit: int = 100
    after: str = ""


class HistoryPage(Struct, array_like=True, frozen=True, gc=False, tag=62):
    tasks: list[TaskView]
    after: str = ""
    behind: int = UNKNOWN_BEHIND


class AskEvents(Struct, array_like=True, frozen=True, gc=False, tag=63):
    """What happened beside the ends of tasks, newest first; `kind` "" is all."""

    kind: str = ""
    limit: int = 100


class PastEvent(Struct, array_like=True, frozen=True, gc=False):
    """`kind`: epoch_started, host_joined, host_left, host_offline, dead_letter, tail_lost, snapshot_taken, ..."""

    at_ms: int
    kind: str
    subject: str
    detail: str = ""


class EventPage(Struct, array_like=True, frozen=True, gc=False, tag=64):
    """`is_cut`: the older ones of what was asked for did not fit into one message."""

    events: list[PastEvent]
    is_cut: bool = False
    behind: int = UNKNOWN_BEHIND


class DescribeHistory(Struct, array_like=True, frozen=True, gc=False, tag=65):
    pass


class HistoryDescription(Struct, array_like=True, frozen=True, gc=False, tag=66):
    """`ledger`: its address without secrets. `trouble`: why it does not answer, "" when it does."""

    ledger: str
    behind: int
    trouble: str = ""


ToHistorian = AskHistory | AskEvents | DescribeHistory
HistoryReply = HistoryPage | EventPage | HistoryDescription | Problem
