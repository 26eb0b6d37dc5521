"""A lease as its holder may believe in it."""

from __future__ import annotations

import pytest

from ohmesh.errors import EngineFailed, InvalidArgument
from ohmesh.protocols.membership.lease import Lease, LeaseValue, decode_lease, encode_lease


def test_a_lease_counts_from_the_sending_and_ends_by_the_margin_before_its_ttl() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, sent_ms=10_000)
    assert lease.holds(12_499)
    assert not lease.holds(12_500)


def test_an_answer_that_came_after_the_lease_had_ended_proves_nothing() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, sent_ms=0)
    assert not lease.holds(60_000)


def test_finding_our_own_write_gives_its_revision_and_no_time() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.found(9)
    assert lease.revision == 9
    assert not lease.holds(0)


def test_a_lease_that_ended_is_neither_held_nor_known() -> None:
    lease = Lease(ttl_ms=3000, margin_ms=500)
    lease.written(7, sent_ms=0)
    lease.ended()
    assert (lease.revision, lease.holds(1)) == (0, False)


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
