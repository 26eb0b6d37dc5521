"""What the door for HTTP listens to, whom it serves and how much of it. Every bound of the door stands here."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

DEFAULT_PORT = 7400
_LIBRARIES = ("fastapi", "uvicorn", "python_multipart")

Milliseconds = Annotated[int, Meta(ge=1, le=600_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """enabled: whether `ohmesh up` starts the door, where its libraries are installed.
    host, port: where it listens; port 0 is that of last time, else 7400, else a free one.
    allow_remote: whether it may listen beyond this machine; without TLS that is for networks that are trusted.
    allowed_hosts: further names by which it may be asked; those of this machine's loopback are always right.
    allowed_origins: web pages of other origins that may ask, as scheme://host:port.
    token_file: "" is api-token in the data directory.
    requests_per_minute: for the owner's token. key_requests_per_minute: for each key of `keys_file`.
    keys_file: keys of others, hashed; "" is api-keys in the data directory.
    body_bytes: above it 413. concurrent_requests: above it 429. wait_max_s: the longest wait that may be asked for.
    idempotency_*: for how long, how many and how much of the answers to requests with an Idempotency-Key is kept.
    event_streams: streams of events at once; above it 429. event_heartbeat_ms: a sign of life where one is quiet.
    mesh_retry_ms: how often a mesh that is away is looked for. stop_grace_ms: what requests have when the door closes.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    allow_remote: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    token_file: str = ""
    keys_file: str = ""
    requests_per_minute: Annotated[int, Meta(ge=1)] = 60_000
    key_requests_per_minute: Annotated[int, Meta(ge=1)] = 100
    body_bytes: Annotated[int, Meta(ge=1_024, le=64_000_000)] = 1_048_576
    concurrent_requests: Annotated[int, Meta(ge=1)] = 1_000
    wait_max_s: Annotated[float, Meta(ge=0, le=3_600)] = 60.0
    require_idempotency_key: bool = False
    idempotency_ttl_s: Annotated[int, Meta(ge=1)] = 86_400
    idempotency_keys: Annotated[int, Meta(ge=1)] = 10_000
    idempotency_bytes: Annotated[int, Meta(ge=1)] = 64_000_000
    event_streams: Annotated[int, Meta(ge=0)] = 100
    event_heartbeat_ms: Milliseconds = 15_000
    mesh_retry_ms: Milliseconds = 500
    stop_grace_ms: Milliseconds = 5_000


def is_installed() -> bool:
    """Whether the extra `api` is there; nothing of it is loaded by asking."""
    return all(importlib.util.find_spec(name) for name in _LIBRARIES)
