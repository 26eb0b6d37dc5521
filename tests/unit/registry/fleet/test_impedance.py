"""Leads, scores, own averages and the flags, at their borders."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_agent import FLAGS
from ohmesh.registry.fleet.columns import FleetColumns, vacant_columns
from ohmesh.registry.fleet.impedance import (
    UNMEASURED,
    average_after,
    flags,
    health,
    prior_lead_ms,
)

CLASSES = AgentClasses()
MEASURED = np.array([True])
HUMAN = CLASSES.code("F")


def columns_of(**values: float) -> FleetColumns:
    columns = vacant_columns(1)
    for name, value in values.items():
        getattr(columns, name)[0] = value
    return columns


@pytest.mark.parametrize(
    ("rtt_ms", "processing_ms", "queue", "drift", "lead_ms"),
    [
        (0, 10, 0, 0, 10),
        (0, 10, 10, 0, 20),
        (40, 10, 0, 0.25, 40),
        (40, 100, 5, 0.5, 190),
        (0, 60_000, 0, 0, 60_000),
    ],
)
def test_the_lead_is_the_published_one_at_weight_0(
    rtt_ms: float, processing_ms: float, queue: int, drift: float, lead_ms: float
) -> None:
    columns = columns_of(rtt_ms=rtt_ms, processing_ms=processing_ms, queue_depth=queue, drift=drift)
    assert prior_lead_ms(columns, slice(None))[0] == pytest.approx(lead_ms)
    assert prior_lead_ms(columns, np.array([0]))[0] == pytest.approx(lead_ms)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"lead_ms": 800}, set()),
        ({"lead_ms": 800.5}, {"degraded"}),
        ({"drift": 0.5}, set()),
        ({"drift": 0.51}, {"unstable"}),
        ({"lead_ms": 200, "average_ms": 100}, set()),
        ({"lead_ms": 201, "average_ms": 100}, {"spike"}),
        ({"lead_ms": 500, "average_ms": 0}, set()),
        ({"lead_ms": 500, "average_ms": -1}, set()),
        ({"lead_ms": 60_000, "class_code": HUMAN}, set()),
        ({"lead_ms": 108_000, "class_code": HUMAN}, set()),
        ({"lead_ms": 108_100, "class_code": HUMAN}, {"degraded"}),
        ({"lead_ms": 900, "drift": 1, "average_ms": 1}, {"degraded", "unstable", "spike"}),
    ],
)
def test_flags_begin_above_their_border_and_people_are_judged_by_their_own_base(
    values: dict[str, float], expected: set[str]
) -> None:
    raised = flags(columns_of(**values), CLASSES)
    assert {name for name, is_raised in zip(FLAGS, raised, strict=True) if is_raised[0]} == expected


def test_an_average_holds_what_was_measured_before_the_lead_in_force() -> None:
    average = np.array([UNMEASURED])
    leads = [10, 100, 100, 100, 400]  # the first is the guess of a class
    seen = []
    for lead in leads:
        average = average_after(average, np.array([lead], np.float32), MEASURED)
        seen.append(float(average[0]))
    assert seen[:4] == [0, 100, 100, 100]
    assert seen[4] == pytest.approx(100 + 300 * 2 / 101, rel=1e-5)


def test_a_guess_does_not_count_in_an_average_until_something_was_measured() -> None:
    guess, average = np.array([10], np.float32), np.array([UNMEASURED])
    for is_measured, expected in ((False, UNMEASURED), (False, UNMEASURED), (True, 0)):
        average = average_after(average, guess, np.array([is_measured]))
        assert average[0] == expected


def test_an_average_follows_a_new_level_within_some_hundred_heartbeats() -> None:
    average = np.array([100], np.float32)
    for _ in range(100):
        average = average_after(average, np.array([200], np.float32), MEASURED)
    assert 180 < average[0] < 190


@pytest.mark.parametrize(
    ("reliability", "drift", "is_fresh", "is_able", "expected"),
    [
        (1, 0, True, True, 1),
        (1, 0, False, True, 0.5 / 0.7),
        (0.9, 0.5, True, True, 0.5 / 0.7),
        (0.5, 1, True, True, 0.15 / 0.7),
        (1, 3, True, True, 0),
        (1, 0, True, False, 0),
    ],
)
def test_health_is_the_published_confidence_as_a_share_of_its_highest_value(
    reliability: float, drift: float, is_fresh: bool, is_able: bool, expected: float
) -> None:
    columns = columns_of(reliability=reliability, drift=drift)
    found = health(columns, np.array([is_able]), 9_999 if is_fresh else 10_000)
    assert found[0] == pytest.approx(expected, abs=1e-6)
