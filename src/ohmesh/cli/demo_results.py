"""What a demo's tasks brought, picked to be seen: the happiest and the saddest sentences, and the photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Struct

from ohmesh.cli.demo_work import COPY_WIDTH, Work

HAPPY, SAD = 3, 2

Done = Sequence[tuple[Work, object]]
"""What was asked, and the task's value."""


class DemoResult(Struct, frozen=True):
    sentence: str
    label: str
    score: float


class PhotographSeen(Struct, frozen=True):
    """`seen`: all that was found out about it, in words."""

    name: str
    faces: int
    seen: str


def most_decided(done: Done) -> list[DemoResult]:
    """A few results, each sentence once."""
    found = {
        work.subject: msgspec.convert({"sentence": work.subject, **_fields(value)}, DemoResult)
        for work, value in done
        if work.kind == "text"
    }
    results = sorted(found.values(), key=lambda result: -result.score)
    return [*results[:HAPPY], *results[-SAD:]]


def photographs_seen(done: Done) -> list[PhotographSeen]:
    """Each photograph once, with what all operations found."""
    found: dict[str, dict[str, object]] = {}
    for work, value in done:
        if work.kind == "image":
            found.setdefault(work.subject, {})[work.operation] = value
    return [_seen(name, found[name]) for name in sorted(found)]


def _seen(name: str, by_operation: Mapping[str, object]) -> PhotographSeen:
    faces = int(str(_fields(by_operation.get("faces", {})).get("faces_detected", 0)))
    words = [_WORDS[operation](by_operation[operation]) for operation in _WORDS if operation in by_operation]
    return PhotographSeen(name, faces, ", ".join(words))


def _size(value: object) -> str:
    return "{width} x {height} pixels".format(**_fields(value))


def _faces(value: object) -> str:
    count = _fields(value)["faces_detected"]
    return f"{count or 'no'} face{'' if count == 1 else 's'}"


def _colour(value: object) -> str:
    shades = cast("list[float]", _fields(value)["mean_colour"])
    return "mean colour #" + "".join(f"{round(shade):02x}" for shade in shades)


def _copy(value: object) -> str:
    return f"{len(cast('bytes', value)):,} bytes at a width of {COPY_WIDTH}"


def _fields(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value)


_WORDS: Mapping[str, Callable[[object], str]] = {
    "size": _size,
    "faces": _faces,
    "describe": _colour,
    "resize": _copy,
}
