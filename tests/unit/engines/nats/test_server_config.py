"""What stands in the embedded server's configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ohmesh.engines.nats.server_config import Durability, ServerSettings, render_server_config

SETTINGS = ServerSettings(
    name="one",
    port=4222,
    store=Path('/data/with "quotes" and spaces/store'),
    log_file=Path("/data/nats.log"),
    public_key="UABC",
    durability=Durability.INTERVAL,
    max_payload_bytes=1_048_576,
    client_pending_bytes=2_097_152,
    log_bytes=1_000,
    log_files=3,
    store_bytes=1_000_000,
)


def test_interval_syncs_every_second_and_fsync_before_each_acknowledgement() -> None:
    assert 'sync_interval: "1s"' in render_server_config(SETTINGS)
    assert "sync_interval: always" in render_server_config(replace(SETTINGS, durability=Durability.FSYNC))


def test_it_listens_on_loopback_and_knows_one_key() -> None:
    text = render_server_config(SETTINGS)
    assert 'listen: "127.0.0.1:4222"' in text
    assert "users: [ { nkey: UABC } ]" in text


def test_paths_are_quoted() -> None:
    assert r'store_dir: "/data/with \"quotes\" and spaces/store"' in render_server_config(SETTINGS)


def test_it_speaks_websocket_on_loopback_where_that_is_wanted_and_nowhere_else() -> None:
    assert "websocket" not in render_server_config(SETTINGS)
    text = render_server_config(replace(SETTINGS, websocket_port=8092))
    assert 'websocket {\n  listen: "127.0.0.1:8092"\n  no_tls: true\n}' in text
    assert "users: [ { nkey: UABC } ]" in text
