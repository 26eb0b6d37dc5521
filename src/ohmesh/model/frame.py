"""A frame: what travels in one message of the bus.

    [version, sender, term, stamp, [body, body, ...]]     MessagePack

`term` is the sender's term in its role (the epoch of a dispatcher, the incarnation of a host), `stamp` its wall clock
in milliseconds. A reader refuses a version that it does not know; it never guesses.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from ohmesh.errors import InvalidArgument
from ohmesh.model.history import HistoryReply, ToHistorian
from ohmesh.model.message import (
    Problem,
    Progress,
    Reply,
    SendItems,
    StreamItems,
    ToClient,
    ToDispatcher,
    ToHost,
)
from ohmesh.model.webhook import AskWebhooks, WebhookPage

FRAME_VERSION = 1
MAX_FRAME_BYTES = 900_000  # a NATS message carries 1 MiB unless its server says otherwise

Body = TypeVar("Body")


class Frame(msgspec.Struct, Generic[Body], array_like=True, frozen=True):
    version: int
    sender: str
    term: int
    stamp: int
    bodies: list[Body]


_encode = msgspec.msgpack.Encoder().encode
_TO_DISPATCHER = msgspec.msgpack.Decoder(Frame[ToDispatcher])
_TO_CLIENT = msgspec.msgpack.Decoder(Frame[ToClient])
_TO_HOST = msgspec.msgpack.Decoder(Frame[ToHost])
_PROGRESS = msgspec.msgpack.Decoder(Frame[Progress])
_STREAM_ITEMS = msgspec.msgpack.Decoder(Frame[StreamItems])
_SEND_ITEMS = msgspec.msgpack.Decoder(Frame[SendItems])
_ASK_WEBHOOKS = msgspec.msgpack.Decoder(Frame[AskWebhooks])
_WEBHOOK_REPLY = msgspec.msgpack.Decoder(Frame[WebhookPage | Problem])
_REPLY = msgspec.msgpack.Decoder(Frame[Reply])
_TO_HISTORIAN = msgspec.msgpack.Decoder(Frame[ToHistorian])
_HISTORY_REPLY = msgspec.msgpack.Decoder(Frame[HistoryReply])


def encode_frame(sender: str, term: int, stamp: int, bodies: list[Body]) -> bytes:
    return _encode(Frame(FRAME_VERSION, sender, term, stamp, bodies))


def decode_to_dispatcher(data: bytes) -> Frame[ToDispatcher]:
    return _decode(_TO_DISPATCHER, data)


def decode_to_client(data: bytes) -> Frame[ToClient]:
    return _decode(_TO_CLIENT, data)


def decode_to_host(data: bytes) -> Frame[ToHost]:
    return _decode(_TO_HOST, data)


def decode_progress(data: bytes) -> Frame[Progress]:
    return _decode(_PROGRESS, data)


def decode_stream_items(data: bytes) -> Frame[StreamItems]:
    return _decode(_STREAM_ITEMS, data)


def decode_send_items(data: bytes) -> Frame[SendItems]:
    return _decode(_SEND_ITEMS, data)


def decode_ask_webhooks(data: bytes) -> Frame[AskWebhooks]:
    return _decode(_ASK_WEBHOOKS, data)


def decode_webhook_reply(data: bytes) -> Frame[WebhookPage | Problem]:
    return _decode(_WEBHOOK_REPLY, data)


def decode_reply(data: bytes) -> Frame[Reply]:
    return _decode(_REPLY, data)


def decode_to_historian(data: bytes) -> Frame[ToHistorian]:
    return _decode(_TO_HISTORIAN, data)


def decode_history_reply(data: bytes) -> Frame[HistoryReply]:
    return _decode(_HISTORY_REPLY, data)


def _decode(decoder: msgspec.msgpack.Decoder[Frame[Body]], data: bytes) -> Frame[Body]:
    try:
        frame = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"A frame of {len(data)} bytes cannot be read: {error}.") from error
    if frame.version != FRAME_VERSION:
        raise InvalidArgument(
            f"A frame of version {frame.version} arrived; this process speaks version {FRAME_VERSION}.",
            hint="Upgrade the older side.",
        )
    return frame
