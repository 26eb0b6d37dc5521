"""The published prior, to the number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.agent_class import STANDARD_CLASSES
from ohmesh.protocols.arrival import prior
from ohmesh.protocols.arrival.schedule import plan_releases
from ohmesh.protocols.arrival.target_state import SkipReason

BASE_MS = {one.name: one.base_ms for one in STANDARD_CLASSES}


@pytest.mark.parametrize(
    ("name", "weight", "queue", "expected_ms"),
    [
        ("A", 0, 0, 10),
        ("A", 1, 0, 15),
        ("A", 2, 10, 40),
        ("C", 1, 10, 600),
        ("D", 3, 5, 375),
        ("E", 0.5, 2, 225),
        ("F", 0, 0, 60_000),
    ],
)
def test_processing_is_as_published(name: str, weight: float, queue: int, expected_ms: float) -> None:
    assert prior.processing_ms(BASE_MS[name], weight, queue) == pytest.approx(expected_ms)


def test_a_lead_is_the_way_there_the_work_and_a_buffer_for_drift() -> None:
    at_rest = prior.processing_ms(BASE_MS["A"], 0, 0)
    assert prior.lead_ms(at_rest, 40.0, 0.25) == pytest.approx(20 + 10 + 10)


@pytest.mark.parametrize(
    ("drift", "reliability", "heartbeat_age_s", "expected"),
    [
        (0, 1, 1, 0.7),
        (0, 1, 10, 0.5),
        (0.5, 0.9, 1, 0.5),
        (1, 0.5, 1, 0.15),
        (3, 1, 1, 0.0),
    ],
)
def test_confidence_is_as_published(
    drift: float, reliability: float, heartbeat_age_s: float, expected: float
) -> None:
    assert prior.confidence(reliability, drift, heartbeat_age_s) == pytest.approx(expected)


def test_the_score_ends_at_a_thousand() -> None:
    assert prior.score([40.0, 1_000.0, 60_000.0]).tolist() == [40.0, 1_000.0, 1_000.0]


def test_leads_of_the_prior_become_send_times_and_reasons_to_skip() -> None:
    work_ms = prior.processing_ms([BASE_MS["A"], BASE_MS["C"], BASE_MS["F"]], [0, 1, 0], [0, 10, 0])
    plan = plan_releases(prior.lead_ms(work_ms, [40.0, 0.0, 40.0], 0.25), target_ms=10_500.0, now_ms=10_000.0)
    assert (plan.order.tolist(), plan.slices_ms.tolist()) == ([0], [10_460.0])
    assert plan.skipped.needed_ms.tolist() == pytest.approx([600.0, 60_030.0])
    assert plan.skipped.available_ms.tolist() == [500.0, 500.0]
    assert set(plan.skipped.reasons.tolist()) == {SkipReason.INSUFFICIENT_LEAD_TIME}


@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 1e5), st.floats(0, 10), st.integers(0, 1_000), st.floats(0, 1e4), st.floats(0, 5)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_columns_give_what_single_agents_give(agents: list[tuple[float, float, int, float, float]]) -> None:
    base, weight, queue, rtt, drift = map(np.array, zip(*agents, strict=True))
    together = prior.lead_ms(prior.processing_ms(base, weight, queue), rtt, drift)
    alone = [
        float(prior.lead_ms(prior.processing_ms(one[0], one[1], one[2]), one[3], one[4])) for one in agents
    ]
    assert together.tolist() == pytest.approx(alone)
