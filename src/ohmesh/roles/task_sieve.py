"""The filter of a question about tasks, as a shard applies it: read here, because protocols know no registry."""

from __future__ import annotations

from ohmesh.model.message import ListTasks, ToDispatcher
from ohmesh.protocols.queue.queries import Sieve
from ohmesh.registry.fields import TASKS
from ohmesh.registry.rows import TASK_SOURCES, matcher
from ohmesh.registry.selector import compile_selector

SCANNED_TASKS = 10_000  # some 30 ms of a dispatcher
FREE_COST = 20  # looking at a task costs as much as this many comparisons; long selectors scan less at a time


def sieve_of(question: ToDispatcher, now_ms: int) -> Sieve | None:
    """None without a filter. InvalidSelector when it cannot be read."""
    if not isinstance(question, ListTasks) or not question.filter:
        return None
    selector = compile_selector(question.filter, TASKS)
    scanned = SCANNED_TASKS * FREE_COST // (FREE_COST + selector.cost)
    return Sieve(matcher(selector, TASK_SOURCES, now_ms), max(1, scanned))
