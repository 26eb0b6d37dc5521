"""BRANCH_AND_RECONCILE: both branches are asked, merged where they converge, and the rest is a person's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import BranchState, ConflictOrder, Evidence
from ohmesh.protocols.conflict.branches import BranchAndReconcile, merge_branches
from tests.unit.protocols.conflict.rounds import Agent, asked, run

LEFT, RIGHT = b"\1" * 8, b"\2" * 8


def agent(hash_: bytes, values: dict[str, str], base: dict[str, str] | None = None) -> Agent:
    held = dict(values)

    def answer(order: ConflictOrder) -> Evidence | None:
        if order.ask == "branch":
            return Evidence(branch=BranchState(hash_, held, base or {}))
        held.clear()
        held.update(order.values)
        return Evidence(done=True)

    return answer


@pytest.mark.parametrize(
    ("base", "left", "right", "merged", "left_open"),
    [
        ({}, {"a": "1"}, {"a": "1"}, {"a": "1"}, ()),
        ({}, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, ()),
        ({}, {"a": "1"}, {"a": "2"}, {}, ("a",)),
        ({"a": "0"}, {"a": "0"}, {"a": "2"}, {"a": "2"}, ()),
        ({"a": "0"}, {"a": "1"}, {"a": "0"}, {"a": "1"}, ()),
        ({"a": "0"}, {"a": "1"}, {"a": "2"}, {}, ("a",)),
        ({"a": "0", "b": "0"}, {"b": "0"}, {"a": "0", "b": "0"}, {"b": "0"}, ()),
        ({"a": "0"}, {}, {"a": "2"}, {}, ("a",)),
        ({"b": "0"}, {"b": "0", "c": "1"}, {"b": "0"}, {"b": "0", "c": "1"}, ()),
    ],
)
def test_branches_merge_three_ways_where_the_ancestor_is_known(
    base: dict[str, str],
    left: dict[str, str],
    right: dict[str, str],
    merged: dict[str, str],
    left_open: tuple[str, ...],
) -> None:
    assert merge_branches(base, left, right) == (merged, left_open)


values = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"))


@given(values, values, values)
def test_merging_favours_neither_side_and_loses_no_key(
    base: dict[str, str], left: dict[str, str], right: dict[str, str]
) -> None:
    merged, open_keys = merge_branches(base, left, right)
    assert merge_branches(base, right, left) == (merged, open_keys)
    assert merge_branches(base, left, left) == (left, ())
    for key in left.keys() & right.keys():
        assert key in merged or key in open_keys


def test_what_converges_is_taken_by_all() -> None:
    agents = {"a": agent(LEFT, {"x": "1"}), "b": agent(LEFT, {"x": "1"}), "c": agent(RIGHT, {"y": "2"})}
    verdict, given = run(BranchAndReconcile("k", ("a", "b", "c")), agents)
    assert verdict.is_settled
    assert verdict.cleared == ("a", "b", "c")
    assert asked(given) == [("branch", ("a", "b", "c")), ("merge", ("a", "b", "c"))]
    for each in agents.values():
        answer = each(ConflictOrder("k", "branch"))
        assert answer is not None
        assert answer.branch is not None
        assert answer.branch.values == {"x": "1", "y": "2"}


def test_the_rest_is_a_persons_and_nothing_changes_before() -> None:
    agents = {"a": agent(LEFT, {"x": "1", "z": "3"}), "b": agent(RIGHT, {"x": "2"})}
    strategy = BranchAndReconcile("k", ("a", "b"))
    verdict, given = run(strategy, agents)
    assert not verdict.is_settled
    assert verdict.left == ("x",)
    assert [ask for ask, _ in asked(given)] == ["branch"]
    with pytest.raises(InvalidArgument):
        strategy.decide("no branch")
    verdict, given = run(strategy, agents, step=strategy.decide(RIGHT.hex()))
    assert verdict.is_settled
    assert verdict.winner == RIGHT.hex()
    (order,) = given
    assert order.order.values == {"x": "2", "z": "3"}  # type: ignore[union-attr]


def test_one_liar_does_not_speak_for_its_branch() -> None:
    agents = {
        "a": agent(LEFT, {"x": "evil"}),
        "b": agent(LEFT, {"x": "1"}),
        "c": agent(LEFT, {"x": "1"}),
        "d": agent(RIGHT, {"x": "1", "y": "2"}),
    }
    verdict, given = run(BranchAndReconcile("k", tuple(agents)), agents)
    assert verdict.is_settled
    assert given[-1].order.values == {"x": "1", "y": "2"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("agents", "is_settled"),
    [
        ({}, False),
        ({"a": agent(LEFT, {}), "b": agent(LEFT, {})}, True),
        ({"a": agent(b"1", {}), "b": agent(b"2", {}), "c": agent(b"3", {})}, False),
    ],
)
def test_no_one_and_many_branches(agents: dict[str, Agent], is_settled: bool) -> None:
    verdict, given = run(BranchAndReconcile("k", ("a", "b", "c")), agents)
    assert verdict.is_settled is is_settled
    assert len(given) == 1


def test_a_merge_that_nobody_takes_is_not_settled() -> None:
    def deaf(order: ConflictOrder) -> Evidence | None:
        return agent(LEFT, {"x": "1"})(order) if order.ask == "branch" else None

    def deaf_too(order: ConflictOrder) -> Evidence | None:
        return agent(RIGHT, {"y": "1"})(order) if order.ask == "branch" else None

    verdict, _ = run(BranchAndReconcile("k", ("a", "b")), {"a": deaf, "b": deaf_too})
    assert not verdict.is_settled
    assert verdict.left == ("a", "b")
