"""What is sent to a webhook: an event as a CloudEvent, signed as Standard Webhooks says.

    webhook-id          the same whenever the same event is sent again
    webhook-timestamp   seconds since 1970, of this attempt
    webhook-signature   v1,<base64 of HMAC-SHA256 over "id.timestamp.body">, one for each secret that is valid

Source: CloudEvents 1.0.2, structured mode of its JSON format; Standard Webhooks 1.0.0, symmetric signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ohmesh.errors import InvalidArgument
from ohmesh.model.event import Event

CONTENT_TYPE = "application/cloudevents+json"
SECRET_PREFIX = "whsec_"  # noqa: S105 - not a secret, what each begins with
SECRET_BITS = 256
_KEY_BYTES = range(24, 65)

_encode = msgspec.json.Encoder(enc_hook=str).encode


def format_secret(bits: int) -> str:
    """Of SECRET_BITS random bits."""
    return SECRET_PREFIX + base64.b64encode(bits.to_bytes(SECRET_BITS // 8, "big")).decode()


def secret_key(secret: str) -> bytes:
    """The key that a secret stands for. InvalidArgument, which does not repeat it."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.strip().startswith(SECRET_PREFIX) or len(key) not in _KEY_BYTES:
        raise InvalidArgument(
            "secret: it is not of the form that Standard Webhooks describes.",
            hint=f"Write {SECRET_PREFIX} and the base64 of 24 to 64 random bytes, or leave it out to have one made.",
        )
    return key


def cloud_event(event: Event, mesh: str) -> bytes:
    """The JSON of one event. `id` and `source` together are the same whenever it is told."""
    written = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/ohmesh/{mesh}",
        "type": event.type,
        "time": datetime.fromtimestamp(event.time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "subject": event.subject,
        "datacontenttype": "application/json",
        "shard": event.shard,
        "kind": event.kind,
        "cursor": event.cursor,
        "data": event.data,
    }
    # An attribute that is there is not empty.
    return _encode({name: value for name, value in written.items() if value != "" or name == "data"})


def message_id(webhook_id: str, event: Event) -> str:
    return f"{webhook_id}_{event.id.replace(':', '-')}"


def signed_headers(message: str, timestamp_s: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": message,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(_signature(message, timestamp_s, body, secret) for secret in secrets),
    }


def _signature(message: str, timestamp_s: int, body: bytes, secret: str) -> str:
    signed = f"{message}.{timestamp_s}.".encode() + body
    digest = hmac.new(secret_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
