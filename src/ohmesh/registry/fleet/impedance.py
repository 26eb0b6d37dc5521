"""How hard an agent is to reach in time: its lead at weight 0, its score, and the flags that follow from them.

lead = RTT/2 + processing*(1 + queue/10) + drift*RTT, in milliseconds: the published prior for weight 0, with what was
measured of the agent in place of its class's base. A model that has learnt more is handed to FleetRegistry as
`lead_of`.

Flags: *degraded*, a score above 800; *unstable*, a drift above 0.5; *spike*, a lead above twice what this agent's used
to be. A class of people is slow by nature, so one of them is judged against its base: 0 at the base, 1000 at twice it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_agent import MAX_SCORE
from ohmesh.registry.fleet.columns import FleetColumns, Index, Mask, Singles

DEGRADED_ABOVE_SCORE = 800.0
UNSTABLE_ABOVE_DRIFT = 0.5
SPIKE_ABOVE_AVERAGES = 2.0
AVERAGED_HEARTBEATS = 100
"""An agent's own average follows its leads as the mean of about so many heartbeats would."""

UNMEASURED = np.float32(-1)
"""An average_ms while no heartbeat brought a round trip and a processing time."""

_WEIGHT = np.float32(2 / (AVERAGED_HEARTBEATS + 1))
_ALL = slice(None)


def prior_lead_ms(columns: FleetColumns, index: Index) -> Singles:
    """Milliseconds, for the rows at `index`."""
    rtt_ms = columns.rtt_ms[index]
    queue = columns.queue_depth[index].astype(np.float32)
    lead_ms: Singles = rtt_ms * (columns.drift[index] + np.float32(0.5))
    lead_ms += columns.processing_ms[index] * (queue * np.float32(0.1) + np.float32(1))
    return lead_ms


def average_after(average_ms: Singles, lead_ms: Singles, is_measured: Mask) -> Singles:
    """What the average is once the next lead replaces `lead_ms`; it holds no lead that is still in force.

    At UNMEASURED `lead_ms` is a guess, and stays one unless the next `is_measured`; at 0 it is the first that was
    measured."""
    moved = average_ms + (lead_ms - average_ms) * _WEIGHT
    begun = np.where(average_ms < 0, np.where(is_measured, np.float32(0), UNMEASURED), lead_ms)
    return np.where(average_ms > 0, moved, begun)


def scores(columns: FleetColumns, index: Index = _ALL) -> Singles:
    """0..1000, the better the lower."""
    return np.minimum(columns.lead_ms[index], np.float32(MAX_SCORE))


def flags(columns: FleetColumns, classes: AgentClasses, index: Index = _ALL) -> tuple[Mask, Mask, Mask]:
    """Who is degraded, unstable, at a spike, in the order of ohmesh.model.fleet_agent.FLAGS."""
    is_human = np.array([one.is_human for one in classes.all])
    base_ms = np.array([one.base_ms for one in classes.all], np.float64)
    code, lead_ms = columns.class_code[index], columns.lead_ms[index].astype(np.float64)
    judged = np.where(is_human[code], MAX_SCORE * (lead_ms / base_ms[code] - 1), lead_ms)
    average_ms = columns.average_ms[index]
    is_spike: Mask = (average_ms > 0) & (lead_ms > SPIKE_ABOVE_AVERAGES * average_ms)
    return judged > DEGRADED_ABOVE_SCORE, columns.drift[index] > UNSTABLE_ABOVE_DRIFT, is_spike


def health(columns: FleetColumns, able: Mask, is_fresh: Mask) -> npt.NDArray[np.float64]:
    """0..1 for each row: the published confidence, 0.5*reliability - 0.3*drift + 0.2 if lately heard of, clamped and
    taken as a share of its highest value 0.7. Who is not able has none."""
    raw = 0.5 * columns.reliability.astype(np.float64) - 0.3 * columns.drift + np.where(is_fresh, 0.2, 0.0)
    return np.where(able, np.clip(raw / 0.7, 0.0, 1.0), 0.0)
