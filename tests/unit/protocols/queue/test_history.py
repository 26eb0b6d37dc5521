"""The fold from a shard's log to history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import LogCorrupt
from ohmesh.model.task import Submission, TaskFailure, TaskState, TaskView
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.history import Happening, History
from ohmesh.protocols.queue.snapshot import decode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from tests.unit.protocols.queue.log_maker import End, LogMaker, Made

seeds = st.integers(0, 2**32)


def beginning() -> History:
    return History("log", TaskTable(), sequence=0, previous=b"")


def fold(history: History, entries: list[bytes], *, silent_to: int = 0) -> History:
    for sequence, data in enumerate(entries, history.sequence + 1):
        frame = history.check(sequence, data)
        history.apply(sequence, data, frame, silent=sequence <= silent_to)
    return history


def named(history: History) -> str:
    return history.named_snapshot.key if history.named_snapshot else ""


def ends(tasks: list[TaskView]) -> list[End]:
    return [(task.task_id, task.state.value, task.finished_ms, task.value) for task in tasks]


def kinds(happenings: list[Happening]) -> list[tuple[str, str]]:
    return [(each.kind, each.subject) for each in happenings]


@given(seeds)
def test_every_end_and_every_happening_is_told_once_and_in_order(seed: int) -> None:
    maker = LogMaker(seed)
    maker.add(30)
    history = fold(beginning(), maker.data())
    assert ends(history.tasks) == maker.ends()
    assert kinds(history.happenings) == maker.happenings()


@given(seeds, st.integers(0, 30), st.integers(0, 30))
def test_history_is_the_same_wherever_the_fold_begins_again(seed: int, first: int, second: int) -> None:
    maker = LogMaker(seed)
    base, known = sorted((first, second))
    maker.add(base)
    snapshot = maker.snapshot()[1]
    maker.add(31 - base)
    data = maker.data()
    whole = fold(beginning(), data)
    table, sequence, previous = decode_snapshot(snapshot)
    resumed = History("log", table, sequence=sequence, previous=previous)
    known = max(known, sequence)
    fold(resumed, data[sequence:], silent_to=known)
    told = fold(beginning(), data[:known])
    assert told.tasks + resumed.tasks == whole.tasks
    assert told.happenings + resumed.happenings == whole.happenings


@given(seeds, st.integers(1, 20))
def test_history_is_the_same_however_its_stretches_are_cut(seed: int, stretch: int) -> None:
    maker = LogMaker(seed)
    maker.add(25)
    data, history = maker.data(), beginning()
    tasks, happenings = [], []
    for start in range(0, len(data), stretch):
        taken = fold(history, data[start : start + stretch]).take()
        tasks += taken[0]
        happenings += taken[1]
    whole = fold(beginning(), data)
    assert (tasks, happenings) == (whole.tasks, whole.happenings)
    assert (history.tasks, history.happenings) == ([], [])


def test_a_task_that_is_forgotten_in_the_entry_of_its_end_is_told() -> None:
    maker = LogMaker(1)
    rows: list[r.Row] = [
        r.Submitted(1, [Submission("T", "text", b"")]),
        r.Granted(2, "host/a", 1, 1000, ["T"]),
        r.Succeeded(3, [1], [b"v"], [2]),
        r.Forgotten(1),
    ]
    maker.table.apply_all(rows)
    maker._append(1, rows)
    assert ends(fold(beginning(), maker.data()).tasks) == [("T", "succeeded", 3, b"v")]


def test_a_task_is_told_as_it_was_when_it_ended_not_as_it_is_later() -> None:
    maker = LogMaker(1)
    maker._append(1, [r.Submitted(1, [Submission("T", "text", b"")]), r.Granted(2, "host/a", 1, 1000, ["T"])])
    maker._append(1, [r.Cancelled(3, ["T"])])
    alone = fold(beginning(), maker.data()).tasks
    maker._append(1, [r.Released([1])])
    assert fold(beginning(), maker.data()).tasks == alone
    assert alone[0].started_ms == 2


def test_the_replica_keeps_no_results() -> None:
    maker = LogMaker(3)
    maker.add(40)
    history = fold(beginning(), maker.data())
    assert any(task.value for task in history.tasks)
    assert not any(task.value for task in history.table.finished)


def test_a_dead_letter_says_of_which_kind_and_why() -> None:
    maker = LogMaker(1)
    rows: list[r.Row] = [
        r.Submitted(1, [Submission("T", "text", b"")]),
        r.Granted(2, "host/a", 1, 1000, ["T"]),
        r.Failed(3, 1, TaskFailure("ValueError", "no such page"), TaskState.DEAD),
    ]
    maker._append(1, rows)
    letter = fold(beginning(), maker.data()).happenings[-1]
    assert letter == Happening(3, "dead_letter", "T", "text dead after 1 attempts: ValueError: no such page")


def test_a_lost_tail_is_told_in_the_words_of_the_epoch() -> None:
    maker = LogMaker(1)
    maker.open_epoch(5, lost_tail="entries 10 to 20")
    history = fold(beginning(), maker.data())
    assert [each.detail for each in history.happenings if each.kind == "tail_lost"] == ["entries 10 to 20"]
    assert history.is_doubtful


def test_an_opening_is_told_apart_from_every_other() -> None:
    logs = [LogMaker(seed, epoch=3) for seed in (1, 2)]
    openings = set()
    for maker in logs:
        history = beginning()
        opening = history.opening(1, maker.data()[0], history.check(1, maker.data()[0]))
        assert opening is not None
        openings.add(opening.detail)
    assert len(openings) == 2


def broken(how: str) -> tuple[list[bytes], int]:
    """A log with an entry that does not follow, and which one."""
    maker = LogMaker(9)
    maker.add(10)
    data = maker.data()
    if how == "changed":
        frame = r.decode_log_frame(data[4], 5)
        data[4] = r.encode_log_frame(
            r.LogFrame(1, frame.epoch, frame.frame_id ^ 1, frame.previous, frame.rows)
        )
        return data, 6
    if how == "unreadable":
        data[4] = b"\x00" + data[4][1:]
        return data, 5
    if how == "left out":
        del data[4]
        return data, 5
    wrong: dict[str, tuple[int, list[r.Row]]] = {
        "of an epoch that nobody began": (7, []),
        "about a task that is not there": (1, [r.Cancelled(1, ["nobody"])]),
        "only half of which fits": (
            1,
            [
                r.Submitted(1, [Submission("T", "text", b"")]),
                r.Cancelled(2, ["T"]),
                r.Cancelled(3, ["nobody"]),
            ],
        ),
        "more forgotten than there are": (1, [r.Forgotten(10_000)]),
        "columns of unequal length": (1, [r.Succeeded(1, [], [b""], [])]),
    }
    epoch, rows = wrong[how]
    maker.made.append(Made(r.encode_log_frame(r.LogFrame(1, epoch, 1, maker.previous, rows))))
    return maker.data(), maker.last


@pytest.mark.parametrize(
    "how",
    [
        "changed",
        "unreadable",
        "left out",
        "of an epoch that nobody began",
        "about a task that is not there",
        "only half of which fits",
        "more forgotten than there are",
        "columns of unequal length",
    ],
)
def test_an_entry_that_does_not_follow_is_refused_and_tells_nothing(how: str) -> None:
    data, wrong = broken(how)
    history = fold(beginning(), data[: wrong - 1])
    before = (list(history.tasks), list(history.happenings), history.sequence)
    with pytest.raises(LogCorrupt):
        fold(history, data[wrong - 1 :])
    assert (history.tasks, history.happenings, history.sequence) == before


def test_a_ghost_is_passed_over_and_told_of() -> None:
    maker = LogMaker(9, epoch=5)
    maker.add(10)
    maker.add_ghost()
    maker.add(10)
    history = fold(beginning(), maker.data())
    assert ends(history.tasks) == maker.ends()
    assert kinds(history.happenings) == maker.happenings()


def test_a_gap_in_the_sequence_is_refused() -> None:
    maker = LogMaker(1)
    maker.add(2)
    with pytest.raises(LogCorrupt, match="goes on at entry 2 after entry 0"):
        beginning().check(2, maker.data()[1])


def test_who_went_astray_follows_the_chain_and_waits_for_a_later_snapshot() -> None:
    maker = LogMaker(5)
    maker.add(5)
    early = maker.snapshot()[0]
    maker.add(5)
    history = fold(beginning(), maker.data()[:7])
    history.take()
    history.stray(8)
    maker.name(early)
    fold(history, maker.data()[8:])
    assert named(history) == ""
    late = maker.snapshot()[0]
    maker.name(late)
    fold(history, maker.data()[history.sequence :])
    assert named(history) == late
    assert history.take() == ([], [])


@given(seeds)
def test_what_a_snapshot_knows_and_the_replica_does_not_is_found(seed: int) -> None:
    maker = LogMaker(seed)
    maker.add(15)
    history = fold(beginning(), maker.data())
    retained = {task.task_id for task in maker.table.finished}
    assert history.ended_elsewhere(decode_snapshot(maker.snapshot()[1])[0]) == []
    found = beginning().ended_elsewhere(decode_snapshot(maker.snapshot()[1])[0])
    assert ends(found) == [end for end in maker.ends() if end[0] in retained]
