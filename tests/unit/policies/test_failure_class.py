"""Failure classes: every threshold from both sides, which class is named of several, what is done, who is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_message import Scope
from ohmesh.policies.failure_class import (
    RESPONSES,
    Evidence,
    FailureClass,
    FailureConfig,
    History,
    Remedy,
    classify_agents,
    crowded_clusters,
    find_cascades,
    treat,
)

NONE, TRANSIENT, SPIKE, CRASH, CORRUPT, BYZANTINE, CASCADE = FailureClass
SOUND: dict[str, float] = {
    "timeouts": 0,
    "silent_ms": 4_000,
    "death_ms": 30_000,
    "impedance_ms": 40,
    "average_ms": 40,
    "context_hash": 7,
    "wanted_hash": 7,
    "contradicted": 0,
}
KINDS: dict[str, Any] = {
    "timeouts": np.int64,
    "contradicted": np.int64,
    "context_hash": np.uint64,
    "wanted_hash": np.uint64,
}


def evidence_of(*agents: dict[str, float]) -> Evidence:
    return Evidence(
        **{
            name: np.array([{**SOUND, **one}[name] for one in agents], KINDS.get(name, np.float64))
            for name in SOUND
        }
    )


@pytest.mark.parametrize(
    ("seen", "failure"),
    [
        ({}, NONE),
        ({"timeouts": 1}, TRANSIENT),
        ({"impedance_ms": 80}, NONE),
        ({"impedance_ms": 80.01}, SPIKE),
        ({"impedance_ms": 900, "average_ms": 0}, NONE),
        ({"impedance_ms": 900, "average_ms": float("nan")}, NONE),
        ({"impedance_ms": 60_000, "average_ms": 60_000}, NONE),  # a person is as slow as always
        ({"silent_ms": 30_000}, NONE),
        ({"silent_ms": 30_001}, CRASH),
        ({"silent_ms": 3_001, "death_ms": 3_000}, CRASH),
        ({"context_hash": 8}, CORRUPT),
        ({"context_hash": 0}, CORRUPT),  # it has lost what it should have
        ({"context_hash": 8, "wanted_hash": 0}, NONE),
        ({"contradicted": 2}, NONE),
        ({"contradicted": 3}, BYZANTINE),
        ({"timeouts": 9, "impedance_ms": 900}, SPIKE),
        ({"timeouts": 9, "impedance_ms": 900, "silent_ms": 30_001}, CRASH),
        ({"silent_ms": 30_001, "context_hash": 8}, CORRUPT),
        ({"timeouts": 9, "context_hash": 8, "contradicted": 3}, BYZANTINE),
    ],
)
def test_what_the_evidence_says(seen: dict[str, float], failure: FailureClass) -> None:
    assert classify_agents(evidence_of(seen)).tolist() == [failure]


def test_a_fleet_is_classified_as_its_agents_are() -> None:
    agents: list[dict[str, float]] = [{}, {"timeouts": 2}, {"silent_ms": 40_000}, {}, {"contradicted": 5}]
    assert classify_agents(evidence_of(*agents)).tolist() == [NONE, TRANSIENT, CRASH, NONE, BYZANTINE]
    assert classify_agents(evidence_of()).tolist() == []


def test_columns_that_do_not_fit_are_refused() -> None:
    evidence = evidence_of({}, {})
    columns = {name: getattr(evidence, name) for name in SOUND} | {"timeouts": np.zeros(3, np.int64)}
    with pytest.raises(InvalidArgument, match="rows"):
        classify_agents(Evidence(**columns))


@pytest.mark.parametrize(
    ("failures", "is_cascade"),
    [
        ([2, 4, 8], True),
        ([3, 6, 11], False),
        ([3, 5, 12], False),
        ([2, 4, 7], False),
        ([9, 2, 4, 8], True),
        ([2, 4, 8, 15], False),
        ([1, 2, 5], False),  # five failures are no cascade
        ([1, 2, 6], True),
        ([0, 0, 60], False),
        ([0, 5, 60], False),  # from nothing nothing doubles; the next window tells
        ([5, 60, 120], True),
        ([8, 8, 8], False),
        ([4, 8], False),
    ],
)
def test_a_cascade_is_three_windows_that_double(failures: list[int], is_cascade: bool) -> None:
    assert find_cascades(np.array([failures])).tolist() == [is_cascade]


def test_cascades_are_found_in_all_sectors_at_once() -> None:
    assert find_cascades(np.array([[2, 4, 8], [0, 0, 0], [4, 8, 16]])).tolist() == [True, False, True]
    assert find_cascades(np.zeros((3, 0), np.int64)).tolist() == [False] * 3


@pytest.mark.parametrize(
    ("failure", "history", "escalated"),
    [
        (TRANSIENT, History(times=2, in_cluster=9, replacements_failed=9), None),
        (TRANSIENT, History(times=3), Scope.CLUSTER),
        (SPIKE, History(times=9, in_cluster=1), None),
        (SPIKE, History(in_cluster=2), Scope.SECTOR),
        (CRASH, History(times=9, in_cluster=9), None),
        (CRASH, History(replacements_failed=1), Scope.SECTOR),
        (CORRUPT, History(), Scope.SECTOR),
        (BYZANTINE, History(), Scope.ALL),
        (CASCADE, None, Scope.ALL),
    ],
)
def test_who_is_told_and_when(
    failure: FailureClass, history: History | None, escalated: Scope | None
) -> None:
    treatment = treat(failure, history)
    assert treatment is not None
    assert (treatment.failure, treatment.escalate_to) == (failure, escalated)


def test_what_is_done_about_each() -> None:
    assert {failure: response.remedies for failure, response in RESPONSES.items()} == {
        TRANSIENT: (Remedy.RETRY_WITH_BACKOFF,),
        SPIKE: (Remedy.ROUTE_AROUND,),
        CRASH: (Remedy.SPAWN_REPLACEMENT, Remedy.SYNC_REPLACEMENT),
        CORRUPT: (Remedy.QUARANTINE, Remedy.RELOAD_KNOWN_GOOD),
        BYZANTINE: (Remedy.QUARANTINE, Remedy.KEEP_EVIDENCE),
        CASCADE: (Remedy.ISOLATE_SECTOR,),
    }
    assert treat(NONE) is None


def test_spikes_are_counted_by_cluster() -> None:
    found = np.array([SPIKE, SPIKE, NONE, SPIKE, CRASH], np.uint8)
    assert crowded_clusters(found, [4, 4, 4, 7, 7], SPIKE).tolist() == [2, 2, 2, 1, 1]
    assert crowded_clusters(found[:0], [], SPIKE).tolist() == []


@pytest.mark.parametrize(
    "wrong", [{"windows": 1}, {"timeouts": 0}, {"contradicted": 0}, {"spike_factor": 1}, {"growth": 1}]
)
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="FailureConfig"):
        FailureConfig(**wrong)


AGENTS = st.fixed_dictionaries(
    {
        "timeouts": st.integers(0, 2),
        "silent_ms": st.sampled_from([0.0, 31_000.0]),
        "impedance_ms": st.sampled_from([40.0, 100.0]),
        "context_hash": st.sampled_from([7, 8]),
        "contradicted": st.integers(0, 4),
    }
)


@given(st.lists(AGENTS, max_size=10))
def test_each_agent_is_judged_by_itself(agents: list[dict[str, float]]) -> None:
    together = classify_agents(evidence_of(*agents)).tolist()
    assert together == [classify_agents(evidence_of(agent))[0] for agent in agents]
