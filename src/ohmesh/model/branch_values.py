"""Entries of a context as the values that agents tell each other in a conflict, and back.

A short text travels as it is. Anything else travels as its hash, behind a sign that no text of ours begins with; who
makes a context of such values looks for what was hashed in the contexts that it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ohmesh.errors import InvalidArgument
from ohmesh.model.context import Entries, hash_content

STAND_IN = "\0blake2b:"
MAX_TEXT = 1_000


def values_of(entries: Entries) -> dict[str, str]:
    return {key: _value_of(data) for key, data in entries.items()}


def entries_of(values: Mapping[str, str], sources: Iterable[Entries] = ()) -> dict[str, bytes]:
    """Raises InvalidArgument: none of `sources` holds what a value stands for."""
    if not any(value.startswith(STAND_IN) for value in values.values()):
        return {key: value.encode() for key, value in values.items()}
    known = {_value_of(data): data for entries in sources for data in entries.values()}
    try:
        return {
            key: known[value] if value.startswith(STAND_IN) else value.encode()
            for key, value in values.items()
        }
    except KeyError as missing:
        raise InvalidArgument(f"What {missing.args[0][1:]} stands for is not held here.") from None


def _value_of(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = STAND_IN
    is_plain = len(text) <= MAX_TEXT and not text.startswith(STAND_IN)
    return text if is_plain else STAND_IN + hash_content(data).hex()
