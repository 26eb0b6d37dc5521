"""What a client may hold, and how often it repeats itself. Every bound of the client stands here."""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.model.frame import MAX_FRAME_BYTES
from ohmesh.policies.complexity import ComplexityConfig
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log


@dataclass(frozen=True, slots=True)
class ClientPorts:
    """`log`, `blobs`: what events are read from; without them there are none."""

    bus: Bus
    clock: Clock
    entropy: Entropy
    log: Log | None = None
    blobs: Blobs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """window_bytes: unanswered submissions of one shard; beyond it they answer 429 here, before they are sent.
    waiting_callers: callers of `submit` that may wait for room in one window.
    frame_bytes, frame_tasks, frame_ids: a frame ends at the first of them that is reached.
    retry_min_ms, retry_max_ms: an unanswered submission is sent again after this long, doubled each time.
    accept_timeout_ms: an unanswered submission is given up then; `submit` may say otherwise.
    watch_after_ms, watch_every_ms: when the end of a task that somebody awaits is asked for, and how often again.
    watch_burst_ids: ids asked for in one sweep, so that a million tasks do not swamp a new dispatcher: what its process
        is to hear of its own lease comes after them.
    tracked_tasks: tasks whose end is kept for whoever asks later; the ends of others are asked for when awaited.
    request_try_ms: one request waits this long before it is repeated within its timeout.
    history_try_ms: the same for a question about history; more than a historian takes to say that it has no answer.
    fleet_patience_ms: an orchestrator that nobody hears of is waited for so long; a process that dies is replaced
    within that time, by the lease of ProcessConfig.
    complexity: from where on the tasks of built-in kinds are tagged large.
    """

    window_bytes: int = 16 * 1024 * 1024
    waiting_callers: int = 100_000
    payload_bytes: int = 512_000
    frame_bytes: int = MAX_FRAME_BYTES
    frame_tasks: int = 2_000
    frame_ids: int = 10_000
    retry_min_ms: int = 1_000
    retry_max_ms: int = 5_000
    accept_timeout_ms: int = 30_000
    window_retry_ms: int = 100
    sweep_ms: int = 250
    watch_after_ms: int = 1_000
    watch_every_ms: int = 2_000
    watch_burst_ids: int = 5_000
    tracked_tasks: int = 1_000_000
    request_timeout_ms: int = 10_000
    request_try_ms: int = 2_000
    request_pause_ms: int = 200
    history_try_ms: int = 5_000
    fleet_patience_ms: int = 5_000
    locate_ids: int = 64
    close_grace_ms: int = 2_000
    complexity: ComplexityConfig = field(default_factory=ComplexityConfig)
