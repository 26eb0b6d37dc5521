"""The embedded server's configuration file: loopback only, one NKey user, nobody else, through whatever door.

`durability`: "interval" syncs the store to disk every second, so a power cut can take the last second (nothing is lost
when only processes die); "fsync" syncs before each acknowledgement and loses nothing that was acknowledged.
`store_bytes`, the bound of the store, is given because the server's own default, three quarters of what is free when it
starts, counts what is stored already against it: a store larger than that would take nothing after a restart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_SYNC_INTERVAL = "1s"


class Durability(StrEnum):
    INTERVAL = "interval"
    FSYNC = "fsync"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    name: str
    port: int
    store: Path
    log_file: Path
    public_key: str
    durability: Durability
    max_payload_bytes: int
    client_pending_bytes: int
    log_bytes: int
    log_files: int
    store_bytes: int
    websocket_port: int = 0


def render_server_config(settings: ServerSettings) -> str:
    """The text of the file. Values are quoted as JSON, which the server's syntax takes for strings. `websocket_port` 0:
    no such door. It has no TLS, since it is on loopback; who comes through it signs the nonce like everybody."""
    sync = "always" if settings.durability is Durability.FSYNC else json.dumps(_SYNC_INTERVAL)
    return f"""\
# Written by ohmesh at each start; changes made here are lost.
server_name: {json.dumps(settings.name)}
listen: "127.0.0.1:{settings.port}"
max_payload: {settings.max_payload_bytes}
max_pending: {settings.client_pending_bytes}
log_file: {json.dumps(str(settings.log_file))}
logfile_size_limit: {settings.log_bytes}
logfile_max_num: {settings.log_files}
jetstream {{
  store_dir: {json.dumps(str(settings.store))}
  max_file_store: {settings.store_bytes}
  sync_interval: {sync}
}}
authorization {{
  users: [ {{ nkey: {settings.public_key} }} ]
}}
{_websocket(settings.websocket_port)}"""


def _websocket(port: int) -> str:
    return f'websocket {{\n  listen: "127.0.0.1:{port}"\n  no_tls: true\n}}\n' if port else ""
