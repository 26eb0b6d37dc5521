"""The same log gives the same events, wherever the fold begins; each task's story is told in its order."""

from __future__ import annotations

from collections import Counter

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.event import Event, Place, format_cursor, parse_cursor
from ohmesh.protocols.queue.events import EventFold
from ohmesh.protocols.queue.rows import decode_log_frame
from ohmesh.protocols.queue.snapshot import decode_snapshot
from tests.unit.protocols.queue.log_maker import LogMaker

ENDS = {"succeeded", "failed", "dead", "timed_out", "cancelled"}


def fold(maker: LogMaker, fold: EventFold, first: int = 1) -> list[Event]:
    return [
        event
        for sequence, data in enumerate(maker.data()[first - 1 :], first)
        for event in fold.take(sequence, decode_log_frame(data, sequence))
    ]


@pytest.mark.parametrize("seed", range(10))
def test_every_end_of_the_log_is_an_event_with_its_task_and_time(seed: int) -> None:
    maker = LogMaker(seed)
    maker.add(120)
    events = fold(maker, EventFold(0))
    told = Counter((one.subject, one.what.removeprefix("task."), one.time_ms) for one in events)
    for task_id, state, at_ms, _ in maker.ends():
        assert told[(task_id, state, at_ms)] == 1
    assert sum(one.what.removeprefix("task.") in ENDS for one in events) == len(maker.ends())
    assert len({one.id for one in events}) == len(events)
    assert [one.time_ms for one in events] == sorted(one.time_ms for one in events)
    assert all(one.kind in ("text", "image") for one in events if one.what.startswith("task."))


@pytest.mark.parametrize("seed", range(10))
def test_a_fold_that_begins_with_a_snapshot_tells_the_same(seed: int) -> None:
    maker = LogMaker(seed)
    maker.add(60)
    _, blob = maker.snapshot()
    cut = maker.last
    maker.add(60)
    whole = [one for one in fold(maker, EventFold(0)) if int(one.id.split(":")[1]) > cut]
    late = EventFold(0)
    late.begin_with(decode_snapshot(blob)[0])
    assert fold(maker, late, cut + 1) == whole


def test_a_late_append_of_a_replaced_writer_is_no_event() -> None:
    maker = LogMaker(1)
    maker.open_epoch(2)
    maker.add_ghost()
    assert [one.what for one in fold(maker, EventFold(0))] == ["shard.epoch_started"] * 2


def test_a_cursor_is_read_as_it_was_written() -> None:
    places = {0: Place(123, 4), 1: Place(77)}
    assert format_cursor(places) == "0-123.4,1-77"
    assert parse_cursor("0-123.4,1-77", 2) == places
    assert parse_cursor("start", 2) == {0: Place(0), 1: Place(0)}
    for text in ("0-1", "0-1,0-2", "0-1,1-x", "0-1,1-2,2-3", "now", "0-1,,1-2"):
        with pytest.raises(InvalidArgument):
            parse_cursor(text, 2)
