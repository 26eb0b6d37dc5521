"""Rows that do not fit the table raise LogCorrupt with the story; snapshots hold all of it; entries are checked."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import LogCorrupt
from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.task import Submission, TaskFailure, TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.task_view import view
from tests.unit.protocols.queue.shard_driver import submission

FAILURE = TaskFailure("Oops", "it broke")


def table_with(*rows: r.Row) -> TaskTable:
    """Epoch 3; `t` is queued; then these."""
    table = TaskTable()
    table.apply(r.EpochStarted(3, "owner", 1_000))
    table.apply(r.Submitted(1_001, [submission("t")]))
    table.apply_all(rows)
    return table


GRANTED = r.Granted(1_002, "host/agent", 7, 30_000, ["t"])
SUCCEEDED = r.Succeeded(1_003, [7], [b"value"], [1_002])
CANCELLED = r.Cancelled(1_003, ["t"])


@pytest.mark.parametrize(
    ("before", "row"),
    [
        ([], r.EpochStarted(3, "late", 1_002)),
        ([], r.Submitted(1_002, [submission("t")])),
        ([], r.Submitted(1_002, [submission("u"), submission("u")])),
        ([], r.Granted(1_002, "host/agent", 7, 0, ["unknown"])),
        ([GRANTED], r.Granted(1_003, "host/agent", 8, 0, ["t"])),
        ([GRANTED], r.Granted(1_003, "host/agent", 7, 0, [])),
        ([CANCELLED], GRANTED),
        ([], SUCCEEDED),
        ([GRANTED, SUCCEEDED], SUCCEEDED),
        ([GRANTED, CANCELLED], SUCCEEDED),
        ([GRANTED], r.Succeeded(1_003, [7, 7], [b"", b""], [0, 0])),
        ([GRANTED, CANCELLED], r.Failed(1_003, 7, FAILURE, TaskState.RETRYING)),
        ([GRANTED], r.Failed(1_003, 7, FAILURE, TaskState.QUEUED)),
        ([GRANTED], r.Failed(1_003, 7, FAILURE, TaskState.SUCCEEDED)),
        ([GRANTED, CANCELLED], r.Returned(1_004, [7], "late")),
        ([], r.Returned(1_004, [7], "never granted")),
        ([], r.Cancelled(1_003, ["unknown"])),
        ([CANCELLED], CANCELLED),
        ([GRANTED], r.Released([7])),
        ([], r.Released([7])),
        ([], r.Forgotten(1)),
        ([GRANTED, CANCELLED], r.Forgotten(1)),
        ([], r.HorizonMoved(1)),
    ],
)
def test_a_row_that_does_not_fit_the_table_is_refused(before: list[r.Row], row: r.Row) -> None:
    table = table_with(*before)
    with pytest.raises(LogCorrupt):
        table.apply(row)


def test_the_refusal_tells_the_story_of_the_task() -> None:
    table = table_with(GRANTED, CANCELLED)
    with pytest.raises(
        LogCorrupt, match=r"Task t \(cancelled, attempts 1, losses 0, lease 0, agent host/agent\)"
    ):
        table.apply(SUCCEEDED)


def test_a_task_that_succeeded_lets_its_payload_go_and_one_that_failed_keeps_it() -> None:
    done = table_with(GRANTED, SUCCEEDED)
    assert (done.tasks["t"].submission.payload, done.tasks["t"].value) == (b"", b"value")
    dead = table_with(GRANTED, r.Failed(1_003, 7, FAILURE, TaskState.DEAD))
    assert dead.tasks["t"].submission.payload == b"payload"


def test_a_task_keeps_its_weight_to_the_end() -> None:
    table = TaskTable()
    table.apply(r.Submitted(1_001, [submission("t", weight=3)]))
    assert view(table.tasks["t"]).complexity == "large"
    table.apply_all([GRANTED, SUCCEEDED])
    assert view(table.tasks["t"]).complexity == "large"


def test_a_view_counts_lost_attempts_too_and_says_when_it_started() -> None:
    lost = r.Failed(1_003, 7, FAILURE, TaskState.RETRYING, 0, lost=True)
    table = table_with(GRANTED, lost, r.Granted(1_004, "other/agent", 8, 30_000, ["t"]))
    shown = view(table.tasks["t"], 4)
    assert (shown.attempts, shown.max_attempts, shown.started_ms, shown.host) == (2, 4, 1_004, "other")


def everything() -> TaskTable:
    return table_with(
        GRANTED,
        r.Submitted(1_003, [submission(name, requires=("gpu",)) for name in "abcdef"]),
        r.Granted(1_004, "host/agent", 8, 30_000, ["a", "b", "c"]),
        r.Succeeded(1_005, [8], [b"value"], [1_004]),
        r.Failed(1_006, 9, FAILURE, TaskState.RETRYING, 2_000),
        r.Cancelled(1_007, ["c", "d", "e"]),
        r.HostChanged(1_008, "host", 5, Liveness.ACTIVE, [AgentSpec("host/agent", "kind")], 17, "1.0"),
        r.Forgotten(1),
        r.SnapshotTaken(1_009, "key", 4),
        r.EpochStarted(4, "successor", 1_010, "a tail"),
    )


def test_a_snapshot_holds_the_whole_table() -> None:
    table = everything()
    restored, sequence, previous = decode_snapshot(encode_snapshot(table, 12, b"digest"))
    assert (sequence, previous) == (12, b"digest")
    assert encode_snapshot(restored, 12, b"digest") == encode_snapshot(table, 12, b"digest")
    assert list(restored.leases) == [7, 10]
    assert restored.leases[7] is restored.tasks["t"]
    assert [task.task_id for task in restored.finished] == ["c", "d", "e"]
    assert "a" in restored.forgotten
    assert restored.depth == table.depth
    assert (restored.epoch, restored.lost_tail) == (4, "a tail")


def test_what_happens_after_a_snapshot_is_the_same_as_without_it() -> None:
    table = everything()
    restored, _, _ = decode_snapshot(encode_snapshot(table, 1, b""))
    later: list[r.Row] = [
        r.Released([10]),
        r.Granted(1_020, "host/agent", 11, 30_000, ["b", "f"]),
        r.Returned(1_021, [12], "no"),
        r.Forgotten(2),
        r.HorizonMoved(1),
        r.Submitted(1_022, [submission("g")]),
    ]
    table.apply_all(later)
    restored.apply_all(later)
    assert encode_snapshot(restored, 2, b"") == encode_snapshot(table, 2, b"")


def test_a_snapshot_that_cannot_be_read_says_so() -> None:
    with pytest.raises(LogCorrupt, match="cannot be read"):
        decode_snapshot(b"\xc1")
    whole = encode_snapshot(everything(), 1, b"")
    for cut in (3, 20, len(whole) - 5):
        with pytest.raises(LogCorrupt, match="cannot be read"):
            decode_snapshot(whole[:cut])
    with pytest.raises(LogCorrupt, match="version 99"):
        decode_snapshot(whole[:1] + b"\x63" + whole[2:])


@given(
    st.builds(
        Submission,
        st.text(max_size=30),
        st.text(max_size=30),
        st.binary(max_size=200),
        st.integers(0, 3),
        st.integers(0, 2**63),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**31),
        st.integers(0, 100),
        st.lists(st.text(max_size=10), max_size=3).map(tuple),
        st.integers(1, 1_000),
    )
)
def test_a_frame_that_is_written_is_read_again(task: Submission) -> None:
    frame = r.LogFrame(r.LOG_VERSION, 3, 2**63 - 1, b"p" * 16, [r.Submitted(1, [task]), GRANTED, SUCCEEDED])
    assert r.decode_log_frame(r.encode_log_frame(frame), 1) == frame


def test_an_entry_that_is_none_of_ours_names_its_sequence() -> None:
    with pytest.raises(LogCorrupt, match="Entry 17 of the log cannot be read"):
        r.decode_log_frame(b"garbage", 17)
    with pytest.raises(LogCorrupt, match="Entry 18 of the log has version 9"):
        r.decode_log_frame(r.encode_log_frame(r.LogFrame(9, 1, 1, b"", [])), 18)


def test_a_row_of_a_later_writer_with_one_more_field_is_read() -> None:
    longer = msgspec.msgpack.encode([1, 3, 5, b"", [[8, [7], "a field of the future"]]])
    assert r.decode_log_frame(longer, 1).rows == [r.Released([7])]


def test_a_submission_of_an_earlier_writer_weighs_one() -> None:
    row = [2, 1_001, [["t", "text", b"", 1, 5, 0, 0, 0, []]]]
    (submitted,) = r.decode_log_frame(msgspec.msgpack.encode([1, 3, 5, b"", [row]]), 1).rows
    assert submitted == r.Submitted(1_001, [Submission("t", "text", b"", 1, 5, weight=1)])
