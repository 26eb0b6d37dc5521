"""Fair shares: what a spread is, what it moves, and that it moves no more."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.protocols.membership.balance import Spread, family_of, spread

SHARDS = [f"dispatcher-{number}" for number in range(64)]
NODES = [f"node-{letter}" for letter in "abcdefgh"]

nodes = st.lists(st.sampled_from(NODES), min_size=1, unique=True)


@st.composite
def meshes(draw: st.DrawFn) -> tuple[list[str], dict[str, str], list[str]]:
    """Who lives, who holds what, and what nobody holds."""
    living = draw(nodes)
    roles = [*SHARDS[: draw(st.integers(1, 64))], "projector"]
    held = {role: draw(st.sampled_from([*living, ""])) for role in roles}
    return living, {role: owner for role, owner in held.items() if owner}, [r for r in roles if not held[r]]


def spread_all(living: list[str], held: dict[str, str], orphans: list[str]) -> Spread:
    return spread(held, orphans, {name: {*held, *orphans} for name in living})


def after(held: dict[str, str], fair: Spread) -> dict[str, str]:
    return {**held, **fair.moves, **{role: queue[0] for role, queue in fair.queues.items()}}


def difference(living: list[str], owners: list[str]) -> int:
    counts = Counter(owners)
    return max(counts[name] for name in living) - min(counts[name] for name in living)


def test_shards_are_one_family_and_the_projector_another() -> None:
    assert {family_of(role) for role in SHARDS} == {"dispatcher"}
    assert family_of("projector") == "projector"
    assert family_of("-1") == "-1"


def test_four_shards_are_two_for_each_of_two_nodes_wherever_the_projector_is() -> None:
    for projector in ("node-a", "node-b"):
        fair = spread_all(NODES[:2], {"projector": projector}, SHARDS[:4])
        owners = after({}, fair)
        assert Counter(owners.values()) == {"node-a": 2, "node-b": 2}


def test_a_role_goes_only_to_who_serves_it() -> None:
    held = dict.fromkeys(SHARDS[:4], "node-a")
    fair = spread(held, [], {"node-a": SHARDS, "node-b": ["projector", "dispatcher-1"]})
    assert fair.moves == {"dispatcher-1": "node-b"}


def test_the_projector_goes_to_who_has_least() -> None:
    held = {"dispatcher-0": "node-a", "dispatcher-1": "node-b", "projector": "node-a"}
    assert spread_all(NODES[:3], held, []).moves == {"projector": "node-c"}


@given(meshes())
def test_afterwards_nobody_has_two_more_than_another(
    mesh: tuple[list[str], dict[str, str], list[str]],
) -> None:
    living, held, orphans = mesh
    owners = after(held, spread_all(living, held, orphans))
    assert owners.keys() == {*held, *orphans}
    assert difference(living, [owner for role, owner in owners.items() if role != "projector"]) <= 1
    assert difference(living, list(owners.values())) <= 1


@given(meshes())
def test_what_is_fair_already_moves_nothing(mesh: tuple[list[str], dict[str, str], list[str]]) -> None:
    living, held, orphans = mesh
    owners = after(held, spread_all(living, held, orphans))
    assert spread_all(living, owners, []) == Spread({}, {})


@given(nodes, st.integers(0, 64))
def test_who_joins_is_given_its_share_and_nothing_else_moves(living: list[str], shards: int) -> None:
    *present, newcomer = living
    if not present:
        present, newcomer = living, "node-z"
    before = after({}, spread_all(present, {}, SHARDS[:shards]))
    moves = spread_all([*present, newcomer], before, []).moves
    assert set(moves.values()) <= {newcomer}
    assert len(moves) == shards // (len(present) + 1)


@given(nodes, st.integers(0, 64))
def test_who_ends_leaves_only_its_own_to_others(living: list[str], shards: int) -> None:
    before = after({}, spread_all([*living, "node-z"], {}, SHARDS[:shards]))
    left = {role: owner for role, owner in before.items() if owner != "node-z"}
    fair = spread_all(living, left, [role for role in before if role not in left])
    assert fair.moves == {}
    assert difference(living, list(after(left, fair).values())) <= 1


@given(meshes())
def test_a_role_moves_only_from_who_has_more_than_its_share(
    mesh: tuple[list[str], dict[str, str], list[str]],
) -> None:
    living, held, _ = mesh
    dispatchers = {role: owner for role, owner in held.items() if role != "projector"}
    counts = Counter(dispatchers.values())
    share, larger = divmod(len(dispatchers), len(living))
    fewest = sum(
        max(0, counts[name] - share - (place < larger))
        for place, name in enumerate(sorted(living, key=lambda name: -counts[name]))
    )
    assert len(spread_all(living, dispatchers, []).moves) == fewest
