"""What is said and not known to be heard: kept, sent again, bounded."""

from __future__ import annotations

import pytest
from msgspec import structs

from ohmesh.errors import Backpressure
from ohmesh.model.fleet_message import FramesHeard
from ohmesh.protocols.delivery.outbox import Outbox, OutboxConfig, Resend

FLOW = "mesh.m.s.0.c.0.hb"


def outbox(**changes: int) -> Outbox:
    return Outbox("host", 7, FLOW, OutboxConfig(**changes))


def heard(through: int, highest: int = 0, missing: tuple[int, ...] = ()) -> FramesHeard:
    return FramesHeard("host", 7, FLOW, through, highest, missing)


def fill(box: Outbox, count: int, now_us: int = 0) -> list[bytes]:
    return [
        box.add(lambda sequence, oldest: b"%d from %d" % (sequence, oldest), now_us) for _ in range(count)
    ]


def test_frames_are_numbered_from_one_and_name_the_oldest_that_is_kept() -> None:
    box = outbox()
    assert fill(box, 2) == [b"1 from 1", b"2 from 1"]
    box.hear(heard(1), 0)
    assert fill(box, 1) == [b"3 from 2"]
    box.hear(heard(3), 0)
    assert (len(box), box.oldest, box.next_due_us()) == (0, 4, None)
    assert fill(box, 1) == [b"4 from 4"]


def test_what_is_missing_is_sent_again_at_once_and_what_came_after_it_is_not() -> None:
    box = outbox()
    frames = fill(box, 6)
    assert box.hear(heard(1, 5, (3, 4)), 0) == Resend(frames[2:4], False)
    assert box.oldest == 3
    assert len(box) == 3  # 3, 4, and 6, of which nothing was said


def test_what_nobody_hears_is_sent_again_later_and_later() -> None:
    box = outbox(resend_us=100, resend_most_us=350)
    frames = fill(box, 1)
    times = []
    for now in range(0, 1_200, 10):
        if box.due(now) == frames:
            times.append(now)
            assert box.due(now) == []
    assert times == [100, 300, 650, 1_000]
    assert box.next_due_us() == 1_350


def test_not_too_much_is_sent_again_at_once() -> None:
    box = outbox(resend_frames=2)
    frames = fill(box, 5)
    now = 10**7
    assert [box.due(now), box.due(now), box.due(now)] == [frames[:2], frames[2:4], frames[4:]]


def test_a_full_outbox_refuses_and_forgets_nothing() -> None:
    box = outbox(frames=3)
    fill(box, 3)
    with pytest.raises(Backpressure, match=f"3 frames for {FLOW}"):
        fill(box, 1)
    box.hear(heard(1), 0)
    assert fill(box, 1) == [b"4 from 2"]
    heavy = outbox(bytes=10)
    fill(heavy, 2)
    with pytest.raises(Backpressure):
        fill(heavy, 1)
    heavy.hear(heard(1), 0)
    assert fill(heavy, 1) == [b"3 from 2"]


@pytest.mark.parametrize("other", [{"sender": "h"}, {"term": 6}, {"flow": "mesh.m.s.0.c.1.hb"}])
def test_word_of_another_flow_or_life_changes_nothing(other: dict[str, str | int]) -> None:
    box = outbox()
    fill(box, 2)
    assert box.hear(structs.replace(heard(2, 2, (1,)), **other), 0) == Resend([], False)
    assert len(box) == 2


def test_who_waits_for_what_is_not_kept_any_more_is_to_be_told() -> None:
    box = outbox()
    fill(box, 3)
    assert box.give_up() == 3
    assert box.hear(heard(0, 3, (1, 2)), 0) == Resend([], True)
    assert fill(box, 1) == [b"4 from 4"]
