"""What is wrong with agents of a fleet, and what is done about it: the question, and the answer."""

from __future__ import annotations

from msgspec import Struct


class AskFailures(Struct, frozen=True, tag="failures"):
    """Of all agents, as they are now."""


class FailureLine(Struct, frozen=True, kw_only=True):
    """failure: its class. remedies: in the order in which they are done. told: how far up it was told, "" not yet."""

    agent: str
    failure: str
    since_s: float
    timeouts: int
    remedies: tuple[str, ...]
    told: str = ""


class FailuresPage(Struct, frozen=True, kw_only=True):
    """lines: the gravest first, as many as are shown. counts: of all agents, by class."""

    lines: tuple[FailureLine, ...] = ()
    counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.lines)
