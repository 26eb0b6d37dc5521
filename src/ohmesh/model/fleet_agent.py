"""One agent of the fleet as a person asks for it: a row of the registry, in words."""

from __future__ import annotations

from msgspec import Struct

from ohmesh.model.agent import Duty, Liveness

FLAGS = ("degraded", "unstable", "spike")
"""What can be wrong with how an agent behaves (ohmesh.registry.fleet.impedance)."""


class FleetAgent(Struct, frozen=True, kw_only=True):
    """Times are mesh time in milliseconds; 0 is never. Texts are empty where there is nothing to say.

    lead_ms: from the release of a message of weight 0 until the agent is ready. score: the same, at most 1000.
    rtt_ms: None before it was measured. reliability: share of the last hour that succeeded. drift: coefficient of
    variation of its delays.
    task, waits_on: what it works on, and what it waits for; context: hash of its context, 16 hexadecimal digits.
    """

    agent: str
    sector: int
    cluster: int
    class_name: str
    class_title: str
    liveness: Liveness
    duty: Duty
    name: str = ""
    host: str = ""
    capabilities: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    lead_ms: float = 0.0
    score: float = 0.0
    rtt_ms: float | None = None
    processing_ms: float = 0.0
    queue_depth: int = 0
    reliability: float = 1.0
    drift: float = 0.0
    heartbeat_ms: int = 0
    task: str = ""
    task_since_ms: int = 0
    waits_on: str = ""
    waits_since_ms: int = 0
    context: str = ""
