"""What a dispatcher is made with: its bounds and timings, its ports, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.policies.priority import rank, rank_in_words
from ohmesh.policies.rate_limit import TokenBucket
from ohmesh.policies.retry import RetryPolicy, retry_delay_ms
from ohmesh.policies.routing import FAIR_SHARE_IN_WORDS, fair_share
from ohmesh.policies.schedule import latest_due_ms, next_due_ms
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.shard_policies import ShardPolicies
from ohmesh.roles.log_writer import LogWriterConfig
from ohmesh.roles.snapshots import SnapshotConfig


@dataclass(frozen=True, slots=True)
class DispatcherConfig:
    """tick_ms: how late a delayed or retried task may become ready. sweep_ms: how late a silent host is noticed.
    stall_ms: when we have not looked for longer, that time does not count as a silence of hosts.
    backlog_frames: frames that may wait while a snapshot is begun (decisions are held back until the log is level);
    more are dropped, and sent again by their senders.
    aging_ms: waiting lifts a task by one priority for each such stretch.
    blocked_ms: when the log has taken nothing for so long though the engine answers, new tasks are refused.
    urgent_messages: refusals of that kind that may wait to be sent; more are dropped, the submissions come again."""

    shard: ShardConfig = field(default_factory=ShardConfig)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    writer: LogWriterConfig = field(default_factory=LogWriterConfig)
    snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    aging_ms: int = 60_000
    tick_ms: int = 20
    sweep_ms: int = 250
    stall_ms: int = 1_000
    backlog_frames: int = 10_000
    blocked_ms: int = 3_000
    urgent_messages: int = 10_000


@dataclass(frozen=True, slots=True)
class DispatcherPorts:
    bus: Bus
    log: Log
    state: State
    blobs: Blobs
    clock: Clock
    entropy: Entropy


@dataclass(slots=True)
class DispatcherStatistics:
    frames_received: int = 0
    frames_refused: int = 0
    frames_dropped: int = 0
    appends: int = 0
    rows: int = 0
    messages_undeliverable: int = 0


def policies_of(config: DispatcherConfig) -> ShardPolicies:
    """Decisions of ohmesh.policies as the shard's machine takes them."""
    return ShardPolicies(
        rank=lambda priority, ready_ms, now_ms: rank(priority, ready_ms, now_ms, config.aging_ms),
        retry_delay_ms=lambda attempts, rng: retry_delay_ms(config.retry, attempts, rng),
        share=fair_share,
        bucket=TokenBucket,
        next_due_ms=next_due_ms,
        latest_due_ms=latest_due_ms,
        rank_in_words=rank_in_words(config.aging_ms),
        share_in_words=FAIR_SHARE_IN_WORDS,
    )
