"""REROUTE_AND_REMAP and RELOAD_KNOWN_GOOD."""

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder, Evidence
from ohmesh.protocols.conflict.reloading import KnownGood, ReloadKnownGood
from ohmesh.protocols.conflict.rerouting import RerouteAndRemap
from ohmesh.protocols.conflict.strategy import RerouteWork, RevokeCapability
from tests.unit.protocols.conflict.rounds import Agent, asked, run

GOOD = KnownGood(b"\7" * 8, b"bytes")


def test_the_capability_is_revoked_and_the_work_goes_elsewhere() -> None:
    verdict, given = run(RerouteAndRemap(("a",), "vision", "op1"), {}, moved_to=("b",))
    assert given == [RevokeCapability(("a",), "vision"), RerouteWork("op1", ("a",), "vision")]
    assert verdict.is_settled
    assert verdict.winner == "b"


def test_without_work_revoking_is_enough() -> None:
    verdict, given = run(RerouteAndRemap(("a",), "vision"), {})
    assert verdict.is_settled
    assert len(given) == 1


def test_where_nobody_else_can_do_it_a_person_is_asked() -> None:
    strategy = RerouteAndRemap(("a",), "vision", "op1")
    verdict, given = run(strategy, {})
    assert not verdict.is_settled
    assert RevokeCapability(("a",), "vision") in given
    assert run(strategy, {}, step=strategy.decide("b"))[0].winner == "b"
    with pytest.raises(InvalidArgument):
        strategy.decide("")


def test_a_report_without_a_capability_is_for_a_person() -> None:
    assert not run(RerouteAndRemap(("a",), "", "op1"), {})[0].is_settled


def loading(*hashes: bytes) -> Agent:
    left = list(hashes)

    def answer(order: ConflictOrder) -> Evidence | None:
        assert order.ask == "reload"
        assert order.context == GOOD.data
        return Evidence(context_hash=left.pop(0)) if left else None

    return answer


def test_who_reports_the_hash_that_it_was_told_is_cleared() -> None:
    verdict, given = run(ReloadKnownGood("k", ("a",), {"a": GOOD}), {"a": loading(GOOD.context_hash)})
    assert verdict.is_settled
    assert verdict.cleared == ("a",)
    assert asked(given) == [("reload", ("a",))]


def test_it_is_told_twice_and_then_stays_blamed() -> None:
    agents = {"a": loading(b"x", GOOD.context_hash), "b": loading(b"x", b"x", GOOD.context_hash)}
    verdict, given = run(ReloadKnownGood("k", ("a", "b"), {"a": GOOD, "b": GOOD}), agents)
    assert not verdict.is_settled
    assert (verdict.cleared, verdict.blamed) == (("a",), ("b",))
    assert asked(given) == [("reload", ("a", "b")), ("reload", ("a", "b"))]


def test_without_a_good_context_nothing_is_ordered() -> None:
    strategy = ReloadKnownGood("k", ("a",), {})
    verdict, given = run(strategy, {})
    assert not verdict.is_settled
    assert given == []
    with pytest.raises(InvalidArgument):
        strategy.decide("x")
