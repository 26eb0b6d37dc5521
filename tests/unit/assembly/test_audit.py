"""The audit counts what stands in the log, and notices what must never stand there."""

from __future__ import annotations

import pytest

from ohmesh.assembly.audit import Audit, audit_log
from ohmesh.errors import LogCorrupt
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Submission, TaskFailure, TaskState
from ohmesh.ports.log import Bounds, Entry
from ohmesh.protocols.queue import rows as r

SUBJECTS = Subjects("mine")
WHY = TaskFailure("worker_lost", "gone")


class StoredLog:
    """Entries of one shard as a log would return them, `first` being the lowest that is kept."""

    def __init__(self, rows: list[list[r.Row]], *, first: int = 1) -> None:
        frames = [r.LogFrame(r.LOG_VERSION, 1, place, b"", frame) for place, frame in enumerate(rows)]
        self._entries = [
            Entry(first + place, r.encode_log_frame(frame)) for place, frame in enumerate(frames)
        ]

    async def create(self, name: str) -> None:
        raise AssertionError("an audit only reads")

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        raise AssertionError("an audit only reads")

    async def read(self, name: str, *, first: int, limit: int) -> list[Entry]:
        if name != SUBJECTS.log(0):
            return []
        return [entry for entry in self._entries if entry.sequence >= first][:limit]

    async def bounds(self, name: str) -> Bounds:
        raise AssertionError("an audit reads to the end")

    async def trim(self, name: str, *, before: int) -> None:
        raise AssertionError("an audit only reads")


def submitted(*names: str) -> r.Submitted:
    return r.Submitted(1, [Submission(name, "kind", b"") for name in names])


def audited(run: object, rows: list[list[r.Row]], *, first: int = 1) -> Audit:
    assert callable(run)
    audit = run(audit_log(StoredLog(rows, first=first), SUBJECTS, 2))
    assert isinstance(audit, Audit)
    return audit


def test_a_whole_log_has_one_end_for_each_task(run: object) -> None:
    audit = audited(
        run,
        [
            [r.EpochStarted(1, "node", 1), submitted("A", "B", "C")],
            [r.Granted(2, "here/kind", 1, 1000, ["A", "B", "C"])],
            [r.Succeeded(3, [1], [b""], [2]), r.Failed(4, 2, WHY, TaskState.DEAD), r.Cancelled(5, ["C"])],
        ],
    )
    assert audit.lost(["A", "B", "C"]) == []
    assert audit.committed_twice() == []
    assert dict(audit.states) == {"succeeded": 1, "dead": 1, "cancelled": 1}
    assert (audit.entries, audit.rows, audit.epochs) == (3, 6, 1)


def test_an_acknowledged_task_without_an_end_is_lost_even_when_the_log_never_saw_it(run: object) -> None:
    audit = audited(run, [[submitted("A", "B")], [r.Granted(2, "here/kind", 1, 0, ["A"])]])
    assert audit.lost(["A", "B", "never-stored"]) == ["A", "B", "never-stored"]


def test_two_accepted_completions_of_one_task_are_found(run: object) -> None:
    audit = audited(
        run,
        [
            [submitted("A"), r.Granted(2, "here/kind", 1, 0, ["A"]), r.Granted(3, "there/kind", 2, 0, ["A"])],
            [r.Succeeded(4, [1], [b""], [2]), r.Succeeded(5, [2], [b""], [3])],
        ],
    )
    assert audit.committed_twice() == ["A"]


def test_a_lost_attempt_is_not_an_end_and_its_successor_is_found(run: object) -> None:
    audit = audited(
        run,
        [
            [submitted("A"), r.Granted(10, "here/kind", 1, 0, ["A"])],
            [
                r.Failed(50, 1, WHY, TaskState.RETRYING, 50, lost=True),
                r.Granted(60, "there/kind", 2, 0, ["A"]),
            ],
            [r.Succeeded(70, [2], [b""], [61])],
        ],
    )
    assert audit.lost(["A"]) == []
    assert [attempt.task_id for attempt in audit.held_by("here", 40)] == ["A"]
    assert audit.held_by("here", 55) == []
    assert audit.regranted_ms("A", 10) == 60
    assert audit.executions()["A"] == 2


def test_what_was_handed_back_is_no_execution(run: object) -> None:
    audit = audited(
        run,
        [
            [submitted("A"), r.Granted(2, "here/kind", 1, 0, ["A"]), r.Returned(3, [1], "it leaves")],
            [r.Granted(4, "there/kind", 2, 0, ["A"]), r.Succeeded(5, [2], [b""], [4])],
        ],
    )
    assert (audit.executions()["A"], audit.returned) == (1, 1)


def test_a_log_that_was_trimmed_cannot_be_audited(run: object) -> None:
    with pytest.raises(LogCorrupt, match="trimmed"):
        audited(run, [[submitted("A")]], first=5)


def test_an_end_of_a_lease_that_was_never_granted_is_an_error(run: object) -> None:
    with pytest.raises(LogCorrupt, match="never granted"):
        audited(run, [[submitted("A"), r.Succeeded(4, [9], [b""], [2])]])
