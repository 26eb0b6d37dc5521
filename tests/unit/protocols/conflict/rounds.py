"""Agents that answer the orders of a strategy, for its tests: a function for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ohmesh.model.conflict_evidence import ConflictOrder, Evidence
from ohmesh.protocols.conflict.strategy import Heard, Order, OrderAgents, Step, Strategy, Verdict

Agent = Callable[[ConflictOrder], Evidence | None]
MAX_ROUNDS = 6


def run(
    strategy: Strategy,
    agents: Mapping[str, Agent],
    *,
    step: Step | None = None,
    moved_to: tuple[str, ...] = (),
) -> tuple[Verdict, list[Order]]:
    """The verdict, and all orders that were given on the way."""
    step = step or strategy.begin()
    given: list[Order] = []
    for _ in range(MAX_ROUNDS):
        if step.verdict is not None:
            return step.verdict, given
        given += step.orders
        answers: dict[str, Evidence] = {}
        for order in step.orders:
            if isinstance(order, OrderAgents):
                for agent in order.agents:
                    answer = agents[agent](order.order) if agent in agents else None
                    if answer is not None:
                        answers[agent] = answer
        step = strategy.take(Heard(answers, moved_to))
    raise AssertionError("a strategy has to end")


def asked(given: list[Order]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.order.ask, one.agents) for one in given if isinstance(one, OrderAgents)]
