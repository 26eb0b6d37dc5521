"""A lease as its holder may believe in it."""

from __future__ import annotations

import pytest

from ohmesh.errors import EngineFailed, InvalidArgument
from ohmesh.protocols.membership.lease import Lease, LeaseValue, Moment, decode_lease, encode_lease


def held(lease: Lease, monotonic_ms: int, wall_ms: int | None = None) -> bool:
    return lease.remaining_ms(Moment(monotonic_ms, monotonic_ms if wall_ms is None else wall_ms)) > 0


def test_a_lease_counts_from_the_sending_and_ends_by_the_margin_before_its_ttl() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, Moment(10_000, 10_000))
    assert held(lease, 12_499)
    assert not held(lease, 12_500)
    assert lease.remaining_ms(Moment(12_000, 12_000)) == 500


def test_an_answer_that_came_after_the_lease_had_ended_proves_nothing() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, Moment(0, 0))
    assert not held(lease, 60_000)


def test_a_suspended_machine_is_betrayed_by_its_wall_clock() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, Moment(1_000, 1_700_000_000_000))
    assert not held(lease, 1_001, 1_700_000_060_000)


def test_a_wall_clock_that_is_set_back_prolongs_nothing() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, Moment(1_000, 1_700_000_000_000))
    assert not held(lease, 4_000, 1_600_000_000_000)


def test_finding_our_own_write_gives_its_revision_and_no_time() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.found(9)
    assert lease.revision == 9
    assert not held(lease, 0)


def test_a_lease_that_ended_is_neither_held_nor_known() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, Moment(0, 0))
    lease.ended()
    assert (lease.revision, held(lease, 1)) == (0, False)


@pytest.mark.parametrize("margin_ms", [0, 3000])
def test_a_margin_that_leaves_no_lease_or_no_safety_is_refused(margin_ms: int) -> None:
    with pytest.raises(InvalidArgument, match="margin"):
        Lease(ttl_ms=3000, margin_ms=margin_ms)


def test_a_lease_is_read_as_it_was_written() -> None:
    value = LeaseValue(incarnation=2**62 + 1, serves=("dispatcher-0", "projector"))
    assert decode_lease(encode_lease(value), "lease.a") == value


def test_what_is_not_a_lease_is_refused_with_its_key() -> None:
    with pytest.raises(EngineFailed, match=r"lease\.a"):
        decode_lease(b"\xc0", "lease.a")
