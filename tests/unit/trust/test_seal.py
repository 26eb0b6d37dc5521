"""Seals: a frame is taken when the peer sealed it, unaltered, once; keys change before their counters end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument, NotTrusted
from ohmesh.trust import seal as seal_module
from ohmesh.trust.seal import Opener, SealConfig, Sealer, is_sealed, session_of
from ohmesh.trust.session import SessionKeys

OURS = SessionKeys("bob", b"session1", b"a" * 32, b"b" * 32)
THEIRS = SessionKeys("alice", b"session1", b"b" * 32, b"a" * 32)


def sides(config: SealConfig | None = None) -> tuple[Sealer, Opener]:
    return Sealer(OURS, config), Opener(THEIRS, config)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_what_was_sealed_is_opened(frames: list[bytes]) -> None:
    sealer, opener = sides()
    sealed = [sealer.seal(frame) for frame in frames]
    assert all(is_sealed(one) and session_of(one) == b"session1" for one in sealed)
    assert [opener.open(one) for one in sealed] == frames


def test_a_frame_stays_readable_for_who_carries_it() -> None:
    assert b"a frame" in sides()[0].seal(b"a frame")


SEALED = sides()[0].seal(b"a frame of some bytes")


@given(st.integers(0, 8 * len(SEALED) - 1))
def test_a_frame_of_which_one_bit_is_another_is_refused_and_the_true_one_is_taken_after_it(bit: int) -> None:
    altered = bytearray(SEALED)
    altered[bit // 8] ^= 1 << bit % 8
    opener = Opener(THEIRS)
    with pytest.raises(NotTrusted):
        opener.open(bytes(altered))
    assert opener.open(SEALED) == b"a frame of some bytes"


@given(st.binary(max_size=80))
def test_bytes_that_are_no_sealed_frame_are_refused(data: bytes) -> None:
    for prefix in (b"", SEALED[:2], SEALED[:10], SEALED[:22]):
        with pytest.raises(NotTrusted):
            Opener(THEIRS).open(prefix + data)


def test_our_own_frame_sent_back_to_us_is_refused() -> None:
    with pytest.raises(NotTrusted, match="was not sealed by it"):
        Opener(OURS).open(SEALED)


@given(st.permutations(range(12)), st.integers(1, 12))
def test_frames_may_come_in_any_order_within_the_window_and_never_twice(
    order: list[int], window: int
) -> None:
    sealer, opener = sides(SealConfig(window=window))
    sealed = [sealer.seal(b"%d" % number) for number in range(12)]
    highest = -1
    for number in order:
        if number > highest - window:
            assert opener.open(sealed[number]) == b"%d" % number
        highest = max(highest, number)
        with pytest.raises(NotTrusted, match="taken already, or is too old"):
            opener.open(sealed[number])


def test_no_nonce_comes_twice_under_one_key_and_the_key_changes_before_the_counter_ends() -> None:
    sealer, opener = sides(SealConfig(frames_in_generation=3))
    sealed = [sealer.seal(b"frame") for _ in range(10)]
    nonces = [one[10:22] for one in sealed]
    assert [one[:4].hex()[:2] for one in nonces] == ["00"] * 3 + ["01"] * 3 + ["02"] * 3 + ["03"]
    assert len(set(nonces)) == 10
    assert len({one[-16:] for one in sealed}) == 10
    assert [opener.open(one) for one in sealed] == [b"frame"] * 10


def test_a_frame_of_the_generation_before_is_taken_late_and_once_and_an_older_one_is_not() -> None:
    sealer, opener = sides(SealConfig(frames_in_generation=2))
    sealed = [sealer.seal(b"%d" % number) for number in range(6)]
    assert [opener.open(sealed[number]) for number in (0, 2, 1, 4)] == [b"0", b"2", b"1", b"4"]
    with pytest.raises(NotTrusted, match="generation 0"):
        opener.open(sealed[1])
    assert opener.open(sealed[3]) == b"3"
    with pytest.raises(NotTrusted, match="taken already"):
        opener.open(sealed[3])


def test_a_counter_that_the_generation_does_not_have_is_refused() -> None:
    sealer = Sealer(OURS, SealConfig(frames_in_generation=5))
    sealed = [sealer.seal(b"") for _ in range(5)]
    with pytest.raises(NotTrusted):
        Opener(THEIRS, SealConfig(frames_in_generation=4)).open(sealed[4])


def test_a_forged_leap_into_the_next_generation_changes_nothing() -> None:
    sealer, opener = sides(SealConfig(frames_in_generation=3))
    first = sealer.seal(b"first")
    forged = first[:10] + (1).to_bytes(4, "little") + first[14:]
    with pytest.raises(NotTrusted, match="was not sealed by it"):
        opener.open(forged)
    assert opener.open(first) == b"first"


def test_a_session_that_is_used_up_refuses() -> None:
    sealer, _ = sides(SealConfig(frames_in_generation=1))
    sealer._generation = seal_module.MAX_GENERATION
    sealer.seal(b"last")
    with pytest.raises(NotTrusted, match="new session"):
        sealer.seal(b"one more")


@pytest.mark.parametrize("config", [(0, 1), ((1 << 32) + 1, 1), (1, 0)])
def test_a_seal_that_cannot_be_safe_is_refused(config: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgument):
        SealConfig(*config)
