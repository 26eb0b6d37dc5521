"""How hard an agent is to reach in time: its lead at weight 0, and the flags and the health that follow from it.

The lead is that of the published prior (ohmesh.protocols.arrival.prior) for weight 0, with what was measured of the
agent in place of its class's base. A model that has learnt more is handed to FleetRegistry as `lead_of`.

Flags: *degraded*, a score above 800; *unstable*, a drift above 0.5; *spike*, a lead above twice what this agent's used
to be. A class of people is slow by nature, so one of them is judged against its base: 0 at the base, 1000 at twice it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ohmesh.model.agent_class import AgentClasses
from ohmesh.protocols.arrival import prior
from ohmesh.registry.fleet.columns import Doubles, FleetColumns, Index, Mask, Singles

DEGRADED_ABOVE_SCORE = 800.0
UNSTABLE_ABOVE_DRIFT = 0.5
SPIKE_ABOVE_AVERAGES = 2.0
AVERAGED_HEARTBEATS = 100
"""An agent's own average follows its leads as the mean of about so many heartbeats would."""

UNMEASURED = np.float32(-1)
"""An average_ms while no heartbeat brought a round trip and a processing time."""

Floats: TypeAlias = npt.NDArray[np.floating]

_HIGHEST_CONFIDENCE = prior.confidence(1, 0, 0)
_WEIGHT = np.float32(2 / (AVERAGED_HEARTBEATS + 1))
_ALL = slice(None)


def prior_lead_ms(columns: FleetColumns, index: Index) -> Floats:
    """Milliseconds, for the rows at `index`."""
    queue = columns.queue_depth[index].astype(np.float32)
    processing_ms = prior.processing_ms(columns.processing_ms[index], 0, queue)
    return prior.lead_ms(processing_ms, columns.rtt_ms[index], columns.drift[index])


def average_after(average_ms: Singles, lead_ms: Singles, is_measured: Mask) -> Singles:
    """What the average is once the next lead replaces `lead_ms`; it holds no lead that is still in force.

    At UNMEASURED `lead_ms` is a guess, and stays one unless the next `is_measured`; at 0 it is the first that was
    measured."""
    moved = average_ms + (lead_ms - average_ms) * _WEIGHT
    begun = np.where(average_ms < 0, np.where(is_measured, np.float32(0), UNMEASURED), lead_ms)
    return np.where(average_ms > 0, moved, begun)


def flags(columns: FleetColumns, classes: AgentClasses, index: Index = _ALL) -> tuple[Mask, Mask, Mask]:
    """Who is degraded, unstable, at a spike, in the order of ohmesh.model.fleet_agent.FLAGS."""
    is_human = np.array([one.is_human for one in classes.all])
    base_ms = np.array([one.base_ms for one in classes.all], np.float64)
    code, lead_ms = columns.class_code[index], columns.lead_ms[index].astype(np.float64)
    judged = np.where(is_human[code], prior.MAX_SCORE * (lead_ms / base_ms[code] - 1), lead_ms)
    average_ms = columns.average_ms[index]
    is_spike: Mask = (average_ms > 0) & (lead_ms > SPIKE_ABOVE_AVERAGES * average_ms)
    return judged > DEGRADED_ABOVE_SCORE, columns.drift[index] > UNSTABLE_ABOVE_DRIFT, is_spike


def health(columns: FleetColumns, able: Mask, now_ms: int) -> Doubles:
    """0..1 for each row: the published confidence as a share of its highest value. Who is not able has none."""
    age_s = (now_ms - columns.heartbeat_ms) / 1_000
    confidence = prior.confidence(columns.reliability, columns.drift, age_s)
    return np.where(able, confidence / _HIGHEST_CONFIDENCE, 0.0)
