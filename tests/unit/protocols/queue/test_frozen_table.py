"""A frozen table is what it was, whichever row comes next. Random histories: test_parking_twins.py."""

from __future__ import annotations

from typing import get_args

import pytest

from ohmesh.model.envelope import join
from ohmesh.model.task import TaskFailure, TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.frozen_table import CHANGED, FrozenTable
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.snapshot import encode_snapshot
from ohmesh.protocols.queue.snapshot_form import head
from ohmesh.protocols.queue.task_table import TaskTable
from tests.unit.protocols.queue.shard_driver import submission

FAILURE = TaskFailure("ValueError", "no")
ITEMS = join([b"\xc4\x01a", b"\xc4\x01b"], 2)
# Of a table with tasks a to i: granted are a, b, c (leases 1, 2, 3) and the envelope (4), dead are d and i, ...
NEXT: list[r.Row] = [
    r.Granted(60, "host/agent", 9, 30_000, ["e", "later"]),
    r.Succeeded(60, [1, 2], [b"v", b"w"], [55, 55]),
    r.Failed(60, 1, FAILURE, TaskState.RETRYING, 70),
    r.Failed(60, 2, FAILURE, TaskState.RETRYING, 10**9),
    r.Failed(60, 1, FAILURE, TaskState.DEAD),
    r.Returned(60, [2], "no"),
    r.Cancelled(60, ["a", "e", "later"]),
    r.Released([3]),
    r.Requeued(60, ["d"]),
    r.DeadLettersPurged(60, ["d"]),
    r.Opened(60, "envelope", [0], join([b"\x01"], 1), [r.ItemFailed(1, FAILURE, TaskState.DEAD)]),
    r.ItemsCancelled(60, "envelope", [1]),
    r.Forgotten(1),
    r.Submitted(60, [submission("new"), submission("new later", due_ms=10**9)]),
]
TOUCH_NO_TASK = {
    r.EpochStarted,
    r.HostChanged,
    r.SnapshotTaken,
    r.HorizonMoved,
    r.KindPaused,
    r.KindLimited,
    r.ScheduleSet,
    r.ScheduleRemoved,
    r.SchedulePaused,
    r.LockTaken,
    r.LockReleased,
}
NEW_OR_GONE = {r.Submitted, r.ScheduleRan, r.Forgotten}


def table() -> TaskTable:
    made = TaskTable(Parking(delay_ms=1_000))
    made.apply_all(
        [
            r.Submitted(50, [submission(name) for name in "abcdefi"]),
            r.Submitted(50, [submission("later", due_ms=10**9)]),
            r.Submitted(50, [submission("envelope", payload=ITEMS, items=2)]),
            r.Granted(51, "host/agent", 1, 30_000, ["a", "b", "c", "envelope", "d", "i"]),
            r.Failed(52, 5, FAILURE, TaskState.DEAD),
            r.Failed(52, 6, FAILURE, TaskState.DEAD),
            r.Cancelled(53, ["c"]),
        ]
    )
    return made


@pytest.mark.parametrize("row", NEXT, ids=lambda row: type(row).__name__)
@pytest.mark.parametrize("taken", [0, 2, 5])
def test_a_row_between_two_slices_changes_nothing_of_what_was_frozen(row: r.Row, taken: int) -> None:
    present = table()
    expected = list(FrozenTable(present, 1, b"", slice_tasks=1).slices())
    frozen = FrozenTable(present, 1, b"", slice_tasks=1).freeze()
    to_come = frozen.slices()
    slices = [next(to_come) for _ in range(taken)]
    present.apply(row)
    assert slices + list(to_come) == expected
    assert frozen.kept == 0
    after = table()
    after.apply(row)
    assert encode_snapshot(present, 2, b"") == encode_snapshot(after, 2, b"")


def test_of_every_row_it_is_known_which_tasks_it_changes() -> None:
    assert CHANGED.keys() | TOUCH_NO_TASK | NEW_OR_GONE == set(get_args(r.Row))
    assert {type(row) for row in NEXT} >= CHANGED.keys()


def test_a_table_that_is_thawed_copies_nothing_and_may_be_frozen_again() -> None:
    present = table()
    appliers = dict(present.appliers)
    first = FrozenTable(present, 1, b"").freeze()
    present.apply(NEXT[0])
    assert first.kept == 2
    first.thaw()
    assert (first.kept, present.appliers) == (0, appliers)
    second = FrozenTable(present, 2, b"").freeze()
    first.thaw()
    assert present.freezer is second
    assert head(second.header, 0, second.slices()) == encode_snapshot(present, 2, b"")
