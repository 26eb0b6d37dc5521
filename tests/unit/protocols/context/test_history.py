"""The graph of versions: what came from what, how far two have diverged, what a peer lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import ContextVersion, encode_content, version_of
from ohmesh.protocols.context.history import ContextHistory


def grown(parents_of: list[list[int]]) -> list[ContextVersion]:
    """Versions, each of which names earlier ones by their places."""
    made: list[ContextVersion] = []
    for place, parents in enumerate(parents_of):
        content = encode_content({"place": str(place).encode()})
        made.append(version_of(content, *(made[one].hash for one in parents)))
    return made


graphs = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        *(
            st.lists(st.integers(0, place - 1), max_size=2, unique=True) if place else st.just([])
            for place in range(count)
        )
    ).map(list)
)

#       0 - 1 - 2 - 5 (of 2 and 4)
#        \- 3 - 4 /
FORK = [[], [0], [1], [0], [3], [2, 4]]


@pytest.mark.parametrize(
    ("ours", "theirs", "ancestor", "depths"),
    [
        (2, 4, 0, (2, 2)),
        (1, 4, 0, (1, 2)),
        (2, 1, 1, (1, 0)),
        (1, 2, 1, (0, 1)),
        (2, 2, 2, (0, 0)),
        (5, 2, 2, (3, 0)),
        (5, 3, 3, (4, 0)),
    ],
)
def test_divergence_counts_versions_since_the_common_ancestor(
    ours: int, theirs: int, ancestor: int, depths: tuple[int, int]
) -> None:
    made = grown(FORK)
    history = ContextHistory(made)
    found = history.divergence(made[ours].hash, made[theirs].hash)
    assert found == (made[ancestor].hash, *depths)
    assert found.is_diverged == all(depths)


def test_no_context_is_older_than_every_other() -> None:
    made = grown(FORK)
    history = ContextHistory(made)
    assert history.is_ancestor(b"", made[0].hash)
    assert history.divergence(b"", made[2].hash) == (b"", 0, 3)


def test_a_version_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="is not known here"):
        ContextHistory().divergence(b"x" * 32, b"")


@given(graph=graphs, data=st.data())
def test_divergence_is_the_same_from_both_sides(graph: list[list[int]], data: st.DataObject) -> None:
    made = grown(graph)
    history = ContextHistory(data.draw(st.permutations(made)))
    names = [version.hash for version in made]
    one, other = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    there, back = history.divergence(one, other), history.divergence(other, one)
    assert there == (back.ancestor, back.theirs, back.ours)
    assert (there.theirs == 0) == history.is_ancestor(other, one)


@given(graph=graphs, data=st.data())
def test_what_a_peer_lacks_makes_it_know_the_version_and_all_of_its_past(
    graph: list[list[int]], data: st.DataObject
) -> None:
    made = grown(graph)
    history = ContextHistory(made)
    want, held = data.draw(st.sampled_from(made)), data.draw(st.sampled_from(made))
    peer = ContextHistory(
        made[place] for place in range(len(made)) if made[place].hash in history.ancestors(held.hash)
    )
    told = history.missing([held.hash], want.hash)
    known = {version.hash for version in peer.versions()}
    for version in told:
        assert version.hash not in known  # nothing is told twice
        assert set(version.parents) <= known  # parents come first
        known.add(peer.add(version))
    assert peer.ancestors(want.hash) == history.ancestors(want.hash)


def test_history_is_bounded_and_keeps_what_is_held() -> None:
    made = grown([[], *([place] for place in range(19))])
    history = ContextHistory(made, limit=5)
    history.prune([made[0].hash])
    assert len(history) == 5
    assert made[0].hash in history
    assert made[-1].hash in history
    assert made[1].hash not in history


def test_a_lineage_is_the_nearest_past() -> None:
    made = grown([[], *([place] for place in range(9))])
    assert ContextHistory(made).lineage(made[-1].hash, 3) == made[-3:]
