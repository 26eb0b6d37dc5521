"""Frames cut from a stream, rows written by hand, and outcomes of exceptions."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument, Permanent, ResultRefused, RetryLater
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.policies.failure import DEFAULT_RULE, Backoff, RetryRule
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.lifeline import watch_connection
from ohmesh.runners.verdict import check_size, failed
from ohmesh.runners.wire import (
    ROWS_HEADER_BYTES,
    Row,
    Rows,
    Splitter,
    Stop,
    decode_rows,
    decode_to_pool,
    decode_to_process,
    encode,
    frame,
    pack_rows_header,
)

GRANT = Grant(7, "task-7", "a", b"", 1, 1000)
ROWS = [
    Row(number, 5, Outcome(number, f"task-{number}", OutcomeStatus.SUCCEEDED, b"x" * number))
    for number in (1, 200)
]


@given(st.lists(st.lists(st.integers(0, 2**63), max_size=50), max_size=20), st.integers(1, 64))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    numbers: list[list[int]], piece: int
) -> None:
    stream = b"".join(frame(Stop(one)) for one in numbers)
    splitter = Splitter()
    found = [
        decode_to_process(body)
        for start in range(0, len(stream), piece)
        for body in splitter.feed(stream[start : start + piece])
    ]
    assert found == [Stop(one) for one in numbers]


def test_a_frame_of_rows_written_by_hand_reads_like_an_encoded_one() -> None:
    rows = b"".join(encode(row) for row in ROWS)
    by_hand = bytearray(ROWS_HEADER_BYTES) + rows
    pack_rows_header(by_hand, len(ROWS), len(rows))
    (body,) = Splitter().feed(bytes(by_hand))
    assert decode_to_pool(body) == Rows(ROWS)
    assert decode_rows(2, rows) == ROWS


def test_what_cannot_be_read_is_refused_whatever_its_length_says() -> None:
    with pytest.raises(InvalidArgument, match="at most 100"):
        Splitter(100).feed(b"\xff\xff\xff\x00")
    with pytest.raises(InvalidArgument, match="3 bytes cannot be read"):
        decode_to_pool(b"\x93\x01\x02")
    with pytest.raises(InvalidArgument, match="2 results"):
        decode_rows(2, encode(ROWS[0]))


def outcome_of(error: BaseException, max_chars: int = 4000, rule: RetryRule = DEFAULT_RULE) -> Outcome:
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001 - any will do
        return failed((GRANT, 10, 20), raised, rule, max_chars=max_chars)


def test_an_exception_becomes_a_failure_of_its_kind() -> None:
    outcome = outcome_of(ValueError("wrong"))
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("ValueError", "wrong")
    assert (outcome.started_ms, outcome.ended_ms, outcome.retry_after_ms) == (10, 20, -1)


def test_the_rule_of_the_agent_decides_by_the_class_of_the_error() -> None:
    rule = RetryRule(retry_on=(OSError,), give_up_on=(FileNotFoundError,), backoff=Backoff(2, 10, 3))
    again = outcome_of(ConnectionError("cut"), rule=rule)
    assert again.status is OutcomeStatus.FAILED
    assert 1_000 <= again.retry_after_ms <= 2_000
    assert outcome_of(ConnectionError("cut"), rule=rule) == again
    for error in (FileNotFoundError("gone"), ValueError("unnamed")):
        ended = outcome_of(error, rule=rule)
        assert (ended.status, ended.retry_after_ms) == (OutcomeStatus.FAILED_PERMANENTLY, -1)
        assert ended.failure is not None
        assert ended.failure.kind == type(error).__name__
    assert outcome_of(RetryLater("as I say", delay_ms=7), rule=rule).retry_after_ms == 7
    assert outcome_of(Permanent("no"), rule=rule).status is OutcomeStatus.FAILED_PERMANENTLY


def test_permanent_errors_are_not_retried_and_wishes_are_passed_on() -> None:
    assert outcome_of(Permanent("no")).status is OutcomeStatus.FAILED_PERMANENTLY
    assert outcome_of(RetryLater("later", delay_ms=50)).retry_after_ms == 50
    assert outcome_of(RetryLater("later", delay_ms=-3)).retry_after_ms == 0
    assert outcome_of(RetryLater("later", delay_ms="soon")).retry_after_ms == -1  # type: ignore[arg-type]


def test_the_end_of_a_long_traceback_is_kept() -> None:
    failure = outcome_of(ValueError("y" * 500), max_chars=200).failure
    assert failure is not None
    assert len(failure.traceback) < 250
    assert failure.traceback.endswith("yyy\n")


def test_a_value_above_the_limit_is_refused_with_both_sizes() -> None:
    assert check_size(b"xx", 2) == b"xx"
    with pytest.raises(ResultRefused, match="3 bytes; at most 2"):
        check_size(b"xxx", 2)


def test_a_pool_cannot_be_without_processes() -> None:
    with pytest.raises(InvalidArgument, match="sync_processes is 0"):
        RunnerConfig(targets=("x",), sync_processes=0)
    with pytest.raises(InvalidArgument, match="outbox_bytes"):
        RunnerConfig(targets=("x",), outbox_bytes=10)


def test_the_lifeline_elsewhere_than_on_linux_waits_for_the_connection_to_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("ohmesh.runners.lifeline.os._exit", ended.append)
    ours, theirs = socket.socketpair()
    thread = watch_connection(theirs)
    ours.send(b"data is not the end")
    thread.join(0.05)
    assert thread.is_alive()
    ours.close()
    thread.join(10)
    assert ended == [0]
    theirs.close()
