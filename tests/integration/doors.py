"""Tables of what is done at several doors: which rows a door has, and why it lacks the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import pytest


@dataclass(frozen=True)
class Never:
    """In place of what is done at a door: why it cannot be done there."""

    reason: str

    def __post_init__(self) -> None:
        assert self.reason


class Row(Protocol):
    @property
    def name(self) -> str: ...


def at_door(rows: Iterable[Row], door: str) -> list[Any]:
    """The rows of a table that can be met at the door of that name, as parameters of a test."""
    return [
        pytest.param(each, id=each.name.replace(" ", "-"))
        for each in rows
        if not isinstance(getattr(each, door), Never)
    ]
