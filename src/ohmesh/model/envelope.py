"""Envelopes: many small tasks of one kind that travel, wait and are leased as one.

The payload of an envelope is a MessagePack array of the payloads of its items, its value the array of their values, so
that who only passes it on does nothing for an item. An item is a task: its id is that of the envelope and its index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from ohmesh.errors import InvalidArgument

MAX_ITEMS = 1_024
ITEMS_IN_SLOT = 32  # so many small tasks take one slot of an agent
_SEPARATOR = "."

_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def item_id(envelope_id: str, index: int) -> str:
    return f"{envelope_id}{_SEPARATOR}{index}"


def parts_of(task_id: str) -> tuple[str, int] | None:
    """Envelope and index, where the id is one of an item."""
    envelope_id, separator, index = task_id.rpartition(_SEPARATOR)
    if not separator or not index.isdecimal() or not index.isascii() or (index[0] == "0" and index != "0"):
        return None
    return (envelope_id, int(index)) if len(index) <= len(str(MAX_ITEMS)) else None


def slots_of(items: int) -> int:
    """How many slots of an agent so many items take (0: a task that is no envelope)."""
    return 1 + items // ITEMS_IN_SLOT


def place_of(index: int, items: int, opened: Collection[int]) -> int | None:
    """Where in the values of an envelope that of this item is; None where it is not in them."""
    if not 0 <= index < items or index in opened:
        return None
    return index - sum(1 for other in opened if other < index)


def join(encoded: Iterable[bytes], count: int) -> bytes:
    """The array of `count` values, each or several together encoded already."""
    return b"\xdd" + count.to_bytes(4) + b"".join(encoded)


def split(array: bytes) -> list[bytes]:
    """The encoded elements of an array. Raises InvalidArgument."""
    try:
        return [bytes(element) for element in _split(array)]
    except (msgspec.MsgspecError, TypeError) as error:
        raise InvalidArgument(f"{len(array)} bytes are not the content of an envelope: {error}.") from error
