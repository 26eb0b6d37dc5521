"""What to expect of an agent before anything has been measured: the published prior, for columns of agents.

    processing = base * (1 + 0.5 * weight) * (1 + 0.1 * queue)
    lead       = rtt / 2 + processing + drift * rtt
    confidence = clamp(0.5 * reliability - 0.3 * drift + 0.2 if the last heartbeat is younger than 10 s, 0, 1)

Drift is the coefficient of variation of the round trip, without a unit. The round trip is measured where the message is
sent, by one clock; half of it is the way there. Whom a lead comes too late for, or is too long, schedule.py says. Every
argument is a number or an array; they broadcast, and single precision stays single.

Source: MESH-30K, temporal coordination. Its confidence ends at 0.7; it is an order among agents, not a probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

WEIGHT_FACTOR = 0.5
QUEUE_FACTOR = 0.1
MAX_SCORE = 1_000.0
FRESH_HEARTBEAT_S = 10.0

Floats = NDArray[np.float64]


def work_factor(weight: ArrayLike, queue: ArrayLike) -> Floats:
    """How much longer work of this weight behind this queue takes than weight 0 behind none."""
    return np.asarray((1 + WEIGHT_FACTOR * np.asarray(weight)) * (1 + QUEUE_FACTOR * np.asarray(queue)))


def processing_ms(base_ms: ArrayLike, weight: ArrayLike, queue: ArrayLike) -> Floats:
    """base_ms: the agent's class has it (model/agent_class.py). queue: tasks that wait there."""
    return np.asarray(np.asarray(base_ms) * work_factor(weight, queue))


def lead_ms(processing: ArrayLike, rtt_ms: ArrayLike, drift: ArrayLike) -> Floats:
    """How long before T a message leaves, `processing` in ms."""
    rtt = np.asarray(rtt_ms)
    return np.asarray(np.asarray(processing) + rtt * (0.5 + np.asarray(drift)))


def work_scale(lead_of_work_ms: ArrayLike, lead_at_rest_ms: ArrayLike) -> Floats:
    """How many times its lead at rest an agent needs for some work, by the prior: what learnt delays are scaled by."""
    return np.asarray(np.asarray(lead_of_work_ms) / np.asarray(lead_at_rest_ms))


def score(lead_at_rest_ms: ArrayLike) -> Floats:
    """The impedance score, 0 (best) to 1000: the lead for weight 0."""
    return np.minimum(lead_at_rest_ms, MAX_SCORE)


def confidence(reliability: ArrayLike, drift: ArrayLike, heartbeat_age_s: ArrayLike) -> Floats:
    """0 to 0.7. reliability: success rate of the last hour, 0 to 1."""
    fresh = np.where(np.asarray(heartbeat_age_s) < FRESH_HEARTBEAT_S, 0.2, 0.0)
    return np.clip(0.5 * np.asarray(reliability) - 0.3 * np.asarray(drift) + fresh, 0.0, 1.0)
