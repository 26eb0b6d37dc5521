"""Estimators and delays for tests: a small fleet in clusters, and what its agents take."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.agent_class import STANDARD_CLASSES, AgentClasses
from ohmesh.protocols.arrival.estimator import ArrivalEstimator, EstimatorConfig

CLASSES = AgentClasses(STANDARD_CLASSES)
EDGE, SERVERLESS, PERSISTENT, GPU, LOCAL, HUMAN = range(6)
CLUSTER_SIZE = 10

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


def new_fleet(
    agents: int = 40, *, code: int = SERVERLESS, config: EstimatorConfig | None = None
) -> ArrivalEstimator:
    """Clusters of 10 agents of one class."""
    clusters = -(-agents // CLUSTER_SIZE)
    estimator = ArrivalEstimator(agents, CLASSES, neighbourhoods=(clusters,), config=config)
    rows = np.arange(agents)
    estimator.enrol(rows, code, neighbourhoods=(rows // CLUSTER_SIZE)[:, None])
    return estimator


def heavy_tailed(rng: random.Random, agents: int, factor: float = 1.0) -> Floats:
    """Each agent has a usual delay of its own, 50 to 150 ms; one in 5 values is far longer."""
    usual = 50 + 100 * np.arange(agents) / agents
    drawn = [
        rng.lognormvariate(0, 0.2) * (1 + rng.expovariate(1) * (rng.random() < 0.2)) for _ in range(agents)
    ]
    return np.asarray(factor * usual * np.array(drawn))


def observe_frames(
    estimator: ArrivalEstimator, frames: int, rng: random.Random, factor: float = 1.0
) -> float:
    """All agents, frame by frame; the hit rate that their leads for 0.95 had."""
    rows = np.arange(len(estimator.keys))
    hits = 0
    for _ in range(frames):
        delays_ms = heavy_tailed(rng, len(rows), factor)
        hits += int((delays_ms <= estimator.lead_ms(rows, 0.95)).sum())
        estimator.observe(rows, delays_ms)
    return hits / (frames * len(rows))
