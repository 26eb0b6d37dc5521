"""Every bound and timing of the NATS engine, named once.

`durability` and the other settings of the embedded server stand in `embedded.py`; these are the client's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

Notice = Callable[[str], None]
"""Hears one sentence about each thing that happened beside the calls: a loss, a reconnect, a dropped message."""

_MIB = 1 << 20


def log_notice(sentence: str) -> None:
    """The notice used where nobody gave one: visible to whoever turns logging on, silent otherwise."""
    logging.getLogger("ohmesh.engines.nats").info("%s", sentence)


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """One connection. A server that is stopped (not dead) is noticed after ping_interval_ms * (1 + pings_unanswered).

    outgoing_bytes: publishing suspends while this much waits to be sent.
    offline_bytes: kept for the next connection while there is none; 0 refuses instead.
    pending_messages, pending_bytes: delivered but not yet handled, for each subscription; beyond it messages drop.
    """

    connect_timeout_ms: int = 2_000
    ping_interval_ms: int = 1_000
    pings_unanswered: int = 2
    reconnect_least_ms: int = 100
    reconnect_most_ms: int = 2_000
    close_timeout_ms: int = 2_000
    outgoing_bytes: int = 16 * _MIB
    offline_bytes: int = 0
    pending_messages: int = 65_536
    pending_bytes: int = 256 * _MIB
    requests_in_flight: int = 65_536
    known_servers: int = 64


@dataclass(frozen=True, slots=True)
class NatsConfig:
    """The engine. `replicas` is 1, or 3 or 5 in a cluster; it applies to what this engine creates.

    append_timeout_ms: how long an append waits before it counts as unresolved.
    read_bytes: asked of the server in one go while reading a log or a blob.
    delete_marker_ttl_s: how long a deleted or expired key is remembered by the server for watches that were away.
    watch_messages: changes waiting for a slow watcher; beyond it the watch starts again where it is.
    blob_orphan_age_s: chunks without a manifest (a writer died) are swept when they are older than this.
    """

    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    bus_offline_bytes: int = 4 * _MIB
    replicas: int = 1
    append_timeout_ms: int = 3_000
    request_timeout_ms: int = 5_000
    read_timeout_ms: int = 20_000
    read_bytes: int = 16 * _MIB
    delete_marker_ttl_s: int = 600
    watch_messages: int = 8_192
    watch_heartbeat_ms: int = 5_000
    blob_chunk_bytes: int = _MIB // 2
    blob_chunks_in_flight: int = 8
    blob_bytes_limit: int = 1_024 * _MIB
    blob_read_tries: int = 8
    blob_orphan_age_s: int = 3_600
    blob_puts_before_sweep: int = 16
    notice: Notice = log_notice
