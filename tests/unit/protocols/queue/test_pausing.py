"""A paused kind is granted nothing until it is resumed, whoever dispatches; what runs goes on."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument, LogCorrupt
from ohmesh.model.message import Describe, KindState, PauseKind, Problem, ShardDescription
from ohmesh.protocols.queue import pausing, queries
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from tests.unit.protocols.queue.shard_driver import ShardDriver


def pause(driver: ShardDriver, is_paused: bool = True, kind: str = "kind") -> KindState:
    answer = pausing.pause(driver.shard, PauseKind(kind, is_paused), driver.now_ms)
    driver.settle()
    assert isinstance(answer, KindState)
    return answer


def granted(driver: ShardDriver) -> list[str]:
    return [grant.task_id for grant in driver.granted()]


def test_nothing_of_a_paused_kind_starts_and_what_runs_goes_on() -> None:
    driver = ShardDriver()
    driver.join(slots=2)
    driver.submit("running")
    since_ms = driver.now_ms
    assert pause(driver) == KindState("kind", (0, 1, 0), since_ms)
    driver.submit("waiting")
    driver.finish("host", driver.granted()[0])
    driver.wait(5_000)
    assert granted(driver) == ["running"]
    assert driver.heard.finished == {"running": "succeeded"}
    assert pause(driver, False).paused_ms == 0
    assert granted(driver) == ["running", "waiting"]


def test_other_kinds_are_granted_as_ever() -> None:
    driver = ShardDriver()
    driver.join()
    pause(driver, kind="other")
    driver.submit("t")
    assert granted(driver) == ["t"]


@pytest.mark.parametrize("by_snapshot", [False, True])
def test_a_pause_outlives_its_dispatcher(by_snapshot: bool) -> None:
    driver = ShardDriver()
    pause(driver)
    snapshot = encode_snapshot(driver.shard.table, 1, b"")
    driver.take_over(decode_snapshot(snapshot)[0] if by_snapshot else None)
    driver.submit("t")
    driver.join()
    assert granted(driver) == []
    pause(driver, False)
    assert granted(driver) == ["t"]


def test_pausing_twice_is_one_row() -> None:
    driver = ShardDriver()
    first = pause(driver)
    driver.wait(1_000)
    assert pause(driver) == first
    pause(driver, False)
    pause(driver, False)
    changes = [row.is_paused for row in driver.rows() if isinstance(row, r.KindPaused)]
    assert changes == [True, False]


def test_a_shard_says_what_is_paused() -> None:
    driver = ShardDriver()
    pause(driver)
    described = queries.answer(driver.shard, Describe(), driver.now_ms, 1)
    assert isinstance(described, ShardDescription)
    assert described.paused == {"kind": driver.now_ms}


def test_paused_kinds_are_bounded_and_well_formed() -> None:
    driver = ShardDriver(ShardConfig(paused_kinds=1))
    pause(driver)
    for kind in ("other", "", "x" * 65, "ä"):
        answer = pausing.pause(driver.shard, PauseKind(kind, True), driver.now_ms)
        assert isinstance(answer, Problem)
        assert answer.code == InvalidArgument.code


def test_rows_that_do_not_fit_are_a_damaged_log() -> None:
    driver = ShardDriver()
    pause(driver)
    for row in (r.KindPaused(driver.now_ms, "kind", True), r.KindPaused(driver.now_ms, "other", False)):
        with pytest.raises(LogCorrupt):
            driver.replayed().apply(row)
