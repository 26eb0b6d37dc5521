"""PROVENANCE_TRACE: the stronger origin wins, the weaker source is updated, forgers are named."""

import msgspec
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import ConflictOrder, Evidence, Fact
from ohmesh.protocols.conflict.provenance import ProvenanceTrace
from tests.unit.protocols.conflict.rounds import Agent, asked, run


def fact(holder: str, value: str, origin: str = "", strength: int = 0, signature: bytes = b"good") -> Fact:
    return Fact("speed", value, holder, origin, strength, 0, signature if origin else b"")


def agent(held: Fact, *, updates: bool = True) -> Agent:
    def answer(order: ConflictOrder) -> Evidence | None:
        if order.ask == "facts":
            return Evidence(facts=(held,))
        return Evidence(done=updates)

    return answer


def trace(*facts: Fact, known: tuple[Fact, ...] = ()) -> ProvenanceTrace:
    agents = tuple(one.holder for one in facts)
    return ProvenanceTrace("k", agents, known, key="speed", is_genuine=lambda one: one.signature == b"good")


@pytest.mark.parametrize(
    ("facts", "winner", "told"),
    [
        ((fact("a", "5", "s1", 80), fact("b", "7", "s2", 20)), "5", ("b",)),
        ((fact("a", "5", "s1", 20), fact("b", "7", "s2", 80)), "7", ("a",)),
        ((fact("a", "5", "s1", 50), fact("b", "7", "s2", 50), fact("c", "7", "s3", 10)), "7", ("a",)),
        ((fact("a", "5"), fact("b", "5"), fact("c", "7", "s1", 1)), "7", ("a", "b")),
        ((fact("a", "5", "s1", 1), fact("b", "5", "s1", 9)), "5", ()),
    ],
)
def test_the_stronger_origin_wins(facts: tuple[Fact, ...], winner: str, told: tuple[str, ...]) -> None:
    verdict, given = run(trace(*facts), {one.holder: agent(one) for one in facts})
    assert verdict.is_settled
    assert verdict.winner == winner
    assert [agents for ask, agents in asked(given) if ask == "update"] == ([told] if told else [])


def test_a_forged_strength_counts_nothing_and_its_holder_is_blamed() -> None:
    forged = fact("a", "5", "s1", 100, b"bad")
    honest = fact("b", "7", "s2", 1)
    verdict, given = run(trace(forged, honest), {"a": agent(forged), "b": agent(honest)})
    assert not verdict.is_settled
    assert verdict.blamed == ("a",)
    assert ("update", ("a",)) in asked(given)


def test_who_does_not_take_the_winner_is_blamed() -> None:
    strong, weak = fact("a", "5", "s1", 9), fact("b", "7", "s2", 1)
    agents = {"a": agent(strong), "b": agent(weak, updates=False)}
    verdict, _ = run(trace(strong, weak), agents)
    assert not verdict.is_settled
    assert verdict.blamed == ("b",)


@pytest.mark.parametrize(
    "facts",
    [
        (fact("a", "5", "s1", 9), fact("b", "7", "s2", 9)),
        (fact("a", "5"), fact("b", "7")),
    ],
)
def test_a_tie_and_facts_without_origin_are_for_a_person(facts: tuple[Fact, ...]) -> None:
    agents = {one.holder: agent(one) for one in facts}
    strategy = trace(*facts)
    verdict, _ = run(strategy, agents)
    assert not verdict.is_settled
    assert set(verdict.left) == {"5", "7"}
    with pytest.raises(InvalidArgument):
        strategy.decide("6")
    verdict, given = run(strategy, agents, step=strategy.decide("7"))
    assert verdict.is_settled
    assert asked(given) == [("update", ("a",))]


def test_what_an_agent_says_itself_stands_before_what_others_report() -> None:
    mine, yours = fact("a", "5", "s1", 9), fact("b", "7", "s2", 99)
    reported = msgspec.structs.replace(yours, value="6", signature=b"bad")
    strategy = trace(mine, yours, known=(reported,))
    verdict, _ = run(strategy, {"a": agent(mine), "b": agent(yours)})
    assert verdict.winner == "7"
    assert verdict.blamed == ()


def test_without_any_fact_a_person_is_asked() -> None:
    verdict, _ = run(trace(fact("a", "5")), {})
    assert not verdict.is_settled
