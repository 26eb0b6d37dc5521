"""Names that stand in subjects, keys and files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.subject import FleetPart, Subjects, checked_name, shard_of
from ohmesh.model.task import LEASE_SHARD_SHIFT, shard_of_lease
from ohmesh.model.topology import AgentPlace


@pytest.mark.parametrize("name", ["a", "gpu-box_7", "0", "x" * 64])
def test_a_plain_name_may_stand_in_a_subject(name: str) -> None:
    assert checked_name(name, "name") == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a.b", "*", ">", "a b", "-a", "_a", "ä", "a\n", "a/b"])
def test_anything_else_is_refused_and_says_what_it_was_to_be(name: str) -> None:
    with pytest.raises(InvalidArgument, match="worker name"):
        checked_name(name, "worker name")


def test_a_mesh_of_a_bad_name_has_no_subjects() -> None:
    with pytest.raises(InvalidArgument):
        Subjects("my mesh")


def test_no_two_roles_share_a_subject() -> None:
    subjects = Subjects("m")
    names = [subjects.dispatcher(0), subjects.host("0"), subjects.client("0"), subjects.every_host()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("mesh.m.") for name in names)
    assert subjects.log(3) == "m-shard-3"


NAMES = st.from_regex(r"[0-9cado]{1,2}", fullmatch=True)  # names that look like the words of subjects
NUMBERS = st.integers(0, 9)
PARTS = st.sampled_from(FleetPart)
ADDRESSES = st.one_of(
    st.tuples(
        st.sampled_from(
            ["host", "client", "progress", "items", "streams", "fleet_process", "heard", "dispatcher"]
        ),
        st.tuples(NAMES),
    ),
    st.tuples(
        st.sampled_from(["every_host", "every_fleet_process", "fleet_questions", "historian", "webhooks"]),
        st.just(()),
    ),
    st.tuples(st.just("orchestrator"), st.tuples(PARTS)),
    st.tuples(st.just("sector"), st.tuples(NUMBERS, PARTS)),
    st.tuples(st.just("cluster"), st.tuples(NUMBERS, NUMBERS, PARTS)),
    st.tuples(st.just("agent"), st.tuples(st.builds(AgentPlace, NUMBERS, NUMBERS, NUMBERS))),
)


@given(ADDRESSES, ADDRESSES)
def test_no_two_addresses_share_a_subject(
    one: tuple[str, tuple[object]], other: tuple[str, tuple[object]]
) -> None:
    """Whoever listens to one of them, whatever its name, does not hear what is meant for another."""
    subjects = Subjects("m")
    first, second = (getattr(subjects, kind)(*words) for kind, words in (one, other))
    assert (first == second) == (one == other)


def test_what_lies_below_a_sector_or_a_cluster_can_be_subscribed_to_as_one() -> None:
    subjects = Subjects("m")
    assert subjects.sector(7, FleetPart.ACKS) == "mesh.m.s.7.ack"
    assert subjects.cluster(7, 4) == "mesh.m.s.7.c.4.do"
    assert subjects.agent(AgentPlace(7, 4, 12)) == "mesh.m.s.7.c.4.a.12"


@given(st.text(), st.integers(1, 64))
def test_every_kind_has_one_shard(kind: str, shards: int) -> None:
    assert 0 <= shard_of(kind, shards) < shards


def test_the_shard_of_a_kind_is_the_same_in_every_language() -> None:
    """The published check value of CRC-32."""
    assert shard_of("123456789", 2**32) == 0xCBF43926


@given(st.integers(0, 2**15 - 1), st.integers(1, 2**LEASE_SHARD_SHIFT - 1))
def test_a_lease_tells_its_shard(shard: int, number: int) -> None:
    assert shard_of_lease((shard << LEASE_SHARD_SHIFT) + number) == shard
