"""Durations as people read them: two figures and a unit."""

from __future__ import annotations


def duration(duration_ms: float) -> str:
    if duration_ms < 1_000:
        return f"{duration_ms:.0f} ms"
    seconds = duration_ms / 1_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def counted(count: int, noun: str) -> str:
    """ "1 attempt", "2 attempts"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
