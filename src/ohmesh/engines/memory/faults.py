"""What the memory engine does wrong, as real ones were seen to do; by default nothing.

Two kinds: chances, drawn for every message and call from the seed (`EngineFaults`), and scripted ones, which a test
puts on the next append (`CallFate`) or does to the server (the methods of MemoryCluster).
Delays are ranges (low, high) in milliseconds, drawn evenly; chances are from 0 to 1.
"""

from __future__ import annotations

import random
from enum import Enum

from msgspec import Struct

Range = tuple[float, float]


class CallFate(Enum):
    """What becomes of one call to the server."""

    LAND = "land"
    LOSE_REQUEST = "lose_request"  # it never arrives; the client cannot know
    LOSE_ACK = "lose_ack"  # committed; the client cannot know
    LATE = "late"  # the client gives up; later it arrives, and lands if its expected sequence still fits
    REFUSE = "refuse"  # the server answers with an error that says nothing about the log


class CallFaults(Struct, frozen=True, kw_only=True):
    """Calls to the server of one sort. delay_ms: there and back together. slow: chance of slow_ms on top of it."""

    delay_ms: Range = (0.0, 0.0)
    slow: float = 0.0
    slow_ms: Range = (50.0, 500.0)
    request_lost: float = 0.0
    ack_lost: float = 0.0
    late: float = 0.0
    late_ms: Range = (10.0, 3000.0)
    refused: float = 0.0


class BusFaults(Struct, frozen=True, kw_only=True):
    """delay_ms is drawn for each of two legs, publisher to server and server to subscriber, half of it each.

    One publisher's messages on one subject keep their order; all else may cross. A duplicate comes duplicate_ms later.
    """

    delay_ms: Range = (0.0, 0.0)
    loss: float = 0.0
    duplication: float = 0.0
    duplicate_ms: Range = (0.0, 500.0)


class EngineFaults(Struct, frozen=True, kw_only=True):
    """watch_delay_ms: how late a watch hears of a change.

    durable_every_ms: what was written since the last multiple of it is lost by a power cut; 0: nothing ever is.
    landed_in_crash: chance that a call in flight lands although the server or its caller is killed.
    """

    bus: BusFaults = BusFaults()
    append: CallFaults = CallFaults()
    read: CallFaults = CallFaults()
    state: CallFaults = CallFaults()
    blobs: CallFaults = CallFaults()
    watch_delay_ms: Range = (0.0, 0.0)
    durable_every_ms: float = 0.0
    landed_in_crash: float = 0.5


class EngineLimits(Struct, frozen=True, kw_only=True):
    """How long a client waits, and how much is kept for it.

    call_timeout_ms: a call without an answer fails. notice_ms: how long a dead link looks alive (pings).
    reconnect_ms: from reachable again to connected. outgoing_bytes: messages kept while disconnected.
    watch_backlog: changes queued for one watch; beyond it older values of a key are left out.
    inbox: what may wait for a paused server.
    """

    call_timeout_ms: float = 2000.0
    notice_ms: float = 2000.0
    reconnect_ms: Range = (0.0, 0.0)
    outgoing_bytes: int = 2 * 1024 * 1024
    message_bytes: int = 1024 * 1024
    watch_backlog: int = 65_536
    inbox: int = 100_000


def draw(rng: random.Random, span: Range) -> float:
    """Seconds from a range of milliseconds; a range of zero draws nothing, so switching it on shifts only its own."""
    low, high = span
    return (low if low == high else rng.uniform(low, high)) / 1000.0


def happens(rng: random.Random, chance: float) -> bool:
    return chance > 0.0 and rng.random() < chance


def draw_fate(rng: random.Random, faults: CallFaults) -> CallFate:
    """The fate of one call; at most one thing goes wrong with it."""
    for chance, fate in (
        (faults.refused, CallFate.REFUSE),
        (faults.request_lost, CallFate.LOSE_REQUEST),
        (faults.ack_lost, CallFate.LOSE_ACK),
        (faults.late, CallFate.LATE),
    ):
        if happens(rng, chance):
            return fate
    return CallFate.LAND
