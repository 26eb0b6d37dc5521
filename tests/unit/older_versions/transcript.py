"""The recorded words of an older version (README.md), and how to say them under other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ohmesh.model.frame import Frame

Body = TypeVar("Body")


class Snapshot(Struct, frozen=True):
    key: str
    sequence: int
    data: str


class Transcript(Struct, frozen=True):
    """said: (who, subject, frame). tasks: id -> (state, attempts, value, how many failures), after the whole log."""

    said: list[tuple[str, str, str]]
    log: list[str]
    snapshot: Snapshot
    tasks: dict[str, tuple[str, int, str, int]]

    def frames(self, who: str, to: str) -> list[bytes]:
        """What one of them said, in order, to subjects that hold this word."""
        return [
            bytes.fromhex(data) for speaker, subject, data in self.said if speaker == who and to in subject
        ]

    def entries(self) -> list[bytes]:
        return [bytes.fromhex(data) for data in self.log]


OLDER = msgspec.json.decode(Path(__file__).with_name("transcript.json").read_bytes(), type=Transcript)

FROM_WORKER = OLDER.frames("worker", ".d.")
FROM_CLIENT = OLDER.frames("client", ".d.")
TO_WORKER = OLDER.frames("dispatcher", ".h")
TO_CLIENT = OLDER.frames("dispatcher", ".c.")
REPLIES = OLDER.frames("dispatcher", "_INBOX")


def of_type(
    frames: list[bytes], decode: Callable[[bytes], Frame[Any]], kind: type[Body]
) -> list[tuple[bytes, Body]]:
    """The frames whose only body is of this kind, each with it; never none, for then nothing would be tested."""
    bodies = [(data, decode(data).bodies) for data in frames]
    found = [(data, each[0]) for data, each in bodies if len(each) == 1 and isinstance(each[0], kind)]
    assert found, f"the older version never said {kind.__name__}"
    return found


def renamed(data: bytes, names: Mapping[object, object]) -> bytes:
    """The same frame with other values in it: read and written without any definition of ours, so that no field is
    added to what the older version knew."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(each) for each in value]
        if isinstance(value, dict):
            return {key: walk(each) for key, each in value.items()}
        return names.get(value, value) if isinstance(value, str | int) else value

    return msgspec.msgpack.encode(walk(msgspec.msgpack.decode(data)))
