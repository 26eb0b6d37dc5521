"""Whether the server that we started answers: it greets us by its name, takes our key, and has JetStream."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

from ohmesh.engines.nats.config import ConnectionConfig
from ohmesh.engines.nats.translation import translated
from ohmesh.engines.nats.wire import Wire

_GREETING = b"INFO "


class ServerNotReady(Exception):
    """Not yet, and why."""


async def check_ready(url: str, seed_file: Path, server_name: str, config: ConnectionConfig) -> None:
    """Return when the server named `server_name` serves at `url`; raise ServerNotReady or EngineUnavailable if not."""
    timeout_s = config.connect_timeout_ms / 1000
    try:
        async with asyncio.timeout(timeout_s):
            name = await _greeting_name(url)
    except (OSError, TimeoutError, ValueError) as error:
        raise ServerNotReady(f"{url} does not answer: {error!r}.") from error
    if name != server_name:
        raise ServerNotReady(f"{url} is another server, {name!r}.")
    wire = Wire(config, lambda _: None)
    await wire.open([url], seed_file, "ohmesh-readiness")
    try:
        await wire.client.request("$JS.API.INFO", timeout=timeout_s)
    except Exception as error:
        raise translated(error, "asking for JetStream") from error
    finally:
        await wire.close()


async def _greeting_name(url: str) -> str:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        line = await reader.readline()
        if not line.startswith(_GREETING):
            raise ValueError("no NATS greeting")
        name: str = json.loads(line[len(_GREETING) :])["server_name"]
        return name
    finally:
        writer.close()
