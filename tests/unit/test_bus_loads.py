"""What benchmarks/bus.py counts is what it made."""

from __future__ import annotations

import pytest

from benchmarks.bus_loads import LOADS, MESSAGES_IN_FRAME


@pytest.mark.parametrize("name", LOADS)
def test_a_frame_of_each_load_is_understood_whole(name: str) -> None:
    load = LOADS[name]
    make, read = load.make(), load.read()
    assert [read(make(sequence)) for sequence in (1, 2, 1_000)] == [load.in_frame] * 3


def test_a_structured_message_is_three_hundred_bytes_long() -> None:
    assert len(LOADS["structured"].make()(1)) / MESSAGES_IN_FRAME == pytest.approx(300, abs=2)


def test_a_message_that_was_altered_on_the_way_ends_the_measurement() -> None:
    frame = bytearray(LOADS["structured"].make()(1))
    second_payload = (100 + 1).to_bytes(8, "little")
    frame[frame.index(second_payload)] ^= 1
    with pytest.raises(SystemExit, match="1 altered"):
        LOADS["structured"].read()(bytes(frame))
