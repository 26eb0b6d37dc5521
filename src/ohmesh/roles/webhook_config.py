"""Bounds of the role that tells webhooks of events."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.ports.web import Web


@dataclass(frozen=True, slots=True)
class WebhookPorts:
    bus: Bus
    log: Log
    blobs: Blobs
    state: State
    clock: Clock
    entropy: Entropy
    web: Web


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """webhooks: each has a reader of the logs of its own, so there are not many. concurrent: requests at once, all
    webhooks together. timeout_ms: of one request.
    retry_ms, retry_max_ms: pause after a request that failed, doubled each time, half of it at random.
    retry_after_max_ms: what a receiver may ask us to wait. give_up_ms: one that fails for so long is paused.
    save_ms: how often the place that was reached is written down; so much is told again after a kill.
    rotation_ms: how long a secret that was replaced signs beside its successor.
    questions: how many callers may wait for an answer.
    """

    webhooks: int = 32
    concurrent: int = 16
    timeout_ms: int = 15_000
    retry_ms: int = 1_000
    retry_max_ms: int = 300_000
    retry_after_max_ms: int = 3_600_000
    give_up_ms: int = 86_400_000
    save_ms: int = 1_000
    rotation_ms: int = 86_400_000
    questions: int = 100
