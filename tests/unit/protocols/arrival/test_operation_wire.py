"""Records as bytes: what comes back, how much it takes, what is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.arrival.operation import Event, SectorRecord, skipped_for
from ohmesh.protocols.arrival.operation_wire import decode_record, encode_record
from ohmesh.protocols.arrival.target_state import Knowledge, SkipReason
from tests.unit.protocols.arrival.operation_events import (
    CONFLICT,
    EVENTS,
    ROWS,
    answers,
    picture,
    record_of,
    released,
    rows_of,
    skipped,
)

SECTOR = range(600, 900)


@given(st.lists(EVENTS, max_size=8), st.sampled_from([ROWS, (), (300, 302, 99_999_999), (305,)]))
def test_what_was_encoded_comes_back(history: list[Event], rows: tuple[int, ...]) -> None:
    record = record_of(rows)
    for event in history:
        record.take(event)
    again = decode_record(encode_record(record))
    assert (again.sector, again.target_ms) == (record.sector, record.target_ms)
    assert picture(again) == picture(record)
    assert again.take(record).grown == 0


@pytest.mark.parametrize("sector", [0, 999])
def test_the_first_and_the_last_sector_there_can_be_come_back(sector: int) -> None:
    assert decode_record(encode_record(record_of(sector=sector))).sector == sector


@pytest.mark.parametrize("reason", SkipReason)
def test_every_reason_of_a_skip_comes_back(reason: SkipReason) -> None:
    record = record_of()
    record.take(skipped_for(reason, rows_of(ROWS[0])))
    assert decode_record(encode_record(record)).reasons[0] == reason


def test_a_sector_of_three_hundred_takes_less_than_three_kilobytes() -> None:
    ready, unasked = record_of(SECTOR), record_of(SECTOR)
    ready.take(answers(*SECTOR, offset_ms=12.5))
    unasked.take(skipped(*SECTOR))
    assert len(encode_record(ready)) < 1_620
    assert len(encode_record(unasked)) < 2_800
    assert len(encode_record(record_of(SECTOR))) < 400


def test_what_was_read_can_be_added_to() -> None:
    again = decode_record(encode_record(record_of()))
    again.take(answers(*ROWS))
    assert again.counts().ready == len(ROWS)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"record|version"):
        decode_record(data)


def sound() -> SectorRecord:
    record = record_of()
    record.take(answers(ROWS[0], offset_ms=2))
    record.take(answers(ROWS[1], state=CONFLICT))
    record.take(released(ROWS[2]))
    record.take(skipped(ROWS[3]))
    return record


FIELDS = ("version", "sector", "target", "first", "count", "bits", "gaps", "marks", "answered", "skipped")
NAN = np.array([np.nan, 0], "<f4").tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("sector", 1_000),
        ("sector", -1),
        ("target", float("nan")),
        ("target", float("inf")),
        ("first", -1),
        ("first", 10**8),
        ("count", 5),
        ("count", 10**9),
        ("count", -1),
        ("bits", b"\xff"),
        ("bits", b"\x01" * (1 << 20)),
        ("gaps", b"\0" * 24),
        ("gaps", b"\0" * 23),
        ("marks", b"\0" * 5),
        ("marks", bytes([Knowledge.TRANSIT]) + b"\0" * 5),  # asked in no way
        ("marks", bytes([7]) + b"\0" * 5),  # no such knowledge
        ("marks", bytes([1 << 3]) + b"\0" * 5),  # pending, and asked
        ("marks", bytes([Knowledge.CONFLICT | 0b110 << 3]) + b"\0" * 5),  # contradicted, and not ready
        ("marks", bytes([Knowledge.SKIPPED | 31 << 3]) + b"\0" * 5),  # no such reason
        ("answered", b""),
        ("answered", NAN),
        ("skipped", NAN),
        ("skipped", b"\0" * 4),
    ],
)
def test_a_record_that_says_what_cannot_be_is_refused(field: str, value: object) -> None:
    columns = msgspec.msgpack.decode(encode_record(sound()))
    columns[FIELDS.index(field)] = value
    with pytest.raises(InvalidArgument):
        decode_record(msgspec.msgpack.encode(columns))


@given(st.data())
def test_a_record_with_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    encoded = bytearray(encode_record(sound()))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        record = decode_record(bytes(encoded))
    except InvalidArgument:
        return
    assert record.counts().targets == len(record)
    assert picture(decode_record(encode_record(record))) == picture(record)
