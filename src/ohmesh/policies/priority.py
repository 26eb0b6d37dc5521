"""Strict priority with bounded aging: which waiting task starts next.

A task's rank is its priority plus one for every `aging_ms` that it has been ready. Whatever has waited long enough
outranks newer work of a higher class, so nothing starves; but only CRITICAL work outranks CRITICAL: age lifts a task
to just below it. A LOW task therefore starts before HIGH work that became ready 2 * aging_ms after it.
"""

from __future__ import annotations

from ohmesh.model.priority import Priority

AGED_LIMIT = Priority.CRITICAL - 0.001


def rank(priority: int, ready_ms: int, now_ms: int, aging_ms: int) -> float:
    """Higher starts first; ties go to the task that was submitted first."""
    if priority >= Priority.CRITICAL:
        return float(priority)
    return min(AGED_LIMIT, priority + max(0, now_ms - ready_ms) / aging_ms)


def rank_in_words(aging_ms: int) -> str:
    return (
        f"the highest rank first: the priority, and one more for each {aging_ms / 1000:g} s that a task has been "
        "ready, never up to critical; then the first submitted"
    )
