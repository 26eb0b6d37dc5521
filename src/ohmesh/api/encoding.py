"""Results as JSON, whatever an agent returned."""

from __future__ import annotations

import msgspec


def encoded(value: object) -> bytes:
    """As JSON, whatever an agent returned: bytes as base64, keys and what JSON has no word for as text."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError):
        return msgspec.json.encode(_plain(value), enc_hook=str)


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(item) for name, item in msgspec.structs.asdict(value).items()}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
