"""The two promises, judged apart from the workload: no acknowledged task is lost, none has two committed results.

What was committed is read from the raw log by whoever calls, never taken from the word of the roles under test.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from ohmesh.errors import PromiseBroken

_NAMED = 10


def lost_tasks(accepted: Iterable[str], final: Container[str]) -> list[str]:
    """Tasks that a client saw accepted and that have no final state at the end (a set, or a mapping to the state)."""
    return sorted(task_id for task_id in set(accepted) if task_id not in final)


def tasks_committed_twice(committed: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Tasks with more than one committed result, and under which leases; `committed` is one pair for each result."""
    leases: dict[str, list[int]] = {}
    for task_id, lease in committed:
        leases.setdefault(task_id, []).append(lease)
    return {task_id: found for task_id, found in leases.items() if len(found) > 1}


def check_promises(
    *, accepted: Iterable[str], final: Container[str], committed: Iterable[tuple[str, int]]
) -> None:
    """Raise PromiseBroken with the tasks concerned."""
    lost = lost_tasks(accepted, final)
    twice = tasks_committed_twice(committed)
    if lost or twice:
        named = ", ".join(f"{task_id} {leases}" for task_id, leases in list(twice.items())[:_NAMED])
        raise PromiseBroken(
            f"{len(lost)} accepted tasks are lost: {', '.join(lost[:_NAMED])};"
            f" {len(twice)} have more than one committed result: {named}."
        )
