"""Agents that wait for T: when they act, when they drop their work, what they ask."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.verdict_order import Verdict
from ohmesh.protocols.arrival.holding import Holding, HoldingConfig, HoldingStep
from tests.unit.protocols.arrival.operation_events import T, rows_of

CONDITIONAL = HoldingConfig(is_conditional=True)


def holding_of(config: HoldingConfig = CONDITIONAL) -> Holding:
    return Holding(rows_of(3, 5, 9), T, config)


def next_ms(holding: Holding) -> float | None:
    return holding.wake_ms


def shown(step: HoldingStep) -> tuple[list[int], list[int], bool, list[int]]:
    return step.act.tolist(), step.drop.tolist(), step.asks, step.too_late.tolist()


NOTHING: tuple[list[int], list[int], bool, list[int]] = ([], [], False, [])


def test_plain_hold_acts_at_t_and_who_is_done_later_at_once_until_the_window_ends() -> None:
    holding = holding_of(HoldingConfig())
    assert shown(holding.prepared(rows_of(3), T - 80)) == NOTHING
    assert next_ms(holding) == T
    assert shown(holding.tick(T - 0.1)) == NOTHING
    assert shown(holding.tick(T)) == ([3], [], False, [])
    assert next_ms(holding) == T + 500
    assert shown(holding.prepared(rows_of(5), T + 120)) == ([5], [], False, [])
    assert shown(holding.tick(T + 500)) == ([], [9], False, [])
    assert next_ms(holding) is None
    assert holding.is_over


def test_with_a_commit_the_prepared_act_at_t() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5), T - 300)
    holding.refused(rows_of(9))
    assert shown(holding.hear(Verdict.COMMIT, T - 60)) == NOTHING
    assert shown(holding.tick(T)) == ([3, 5], [], False, [])
    assert shown(holding.tick(T + 1)) == NOTHING


def test_a_commit_that_comes_after_t_is_acted_upon_at_once() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5, 9), T - 300)
    holding.tick(T)
    assert shown(holding.hear(Verdict.COMMIT, T + 60)) == ([3, 5, 9], [], False, [])


def test_with_an_abort_everybody_drops_the_work() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3), T - 300)
    assert shown(holding.hear(Verdict.ABORT, T - 60)) == ([], [3, 5, 9], False, [])
    assert shown(holding.tick(T)) == NOTHING


def test_who_hears_nothing_asks_shortly_before_t_and_drops_the_work_in_the_end() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5, 9), T - 300)
    assert next_ms(holding) == T - 50
    asked = []
    while (wake_ms := next_ms(holding)) is not None:
        step = holding.tick(wake_ms)
        assert not len(step.act)
        asked += [wake_ms - T] if step.asks else []
        dropped = step.drop.tolist()
    assert asked == [-50, 50, 150, 250, 350, 450]
    assert dropped == [3, 5, 9]


def test_a_commit_after_the_work_was_dropped_is_answered_as_too_late() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5), T - 300)
    holding.refused(rows_of(9))
    holding.tick(T + 500)
    assert shown(holding.hear(Verdict.COMMIT, T + 600)) == ([], [], False, [3, 5])
    assert shown(holding.hear(Verdict.COMMIT, T + 700)) == NOTHING


def test_a_commit_that_is_itself_the_first_word_after_the_end_drops_and_says_so() -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5, 9), T - 300)
    assert shown(holding.hear(Verdict.COMMIT, T + 500)) == ([], [3, 5, 9], False, [3, 5, 9])


def test_it_may_ask_from_t_on_only() -> None:
    holding = holding_of(HoldingConfig(is_conditional=True, ask_before_ms=0))
    assert next_ms(holding) == T


def test_an_abort_after_the_work_was_dropped_is_as_it_should_be() -> None:
    holding = holding_of()
    holding.tick(T + 500)
    assert shown(holding.hear(Verdict.ABORT, T + 600)) == NOTHING


@pytest.mark.parametrize(
    ("first", "second"), [(Verdict.ABORT, Verdict.COMMIT), (Verdict.COMMIT, Verdict.ABORT)]
)
def test_the_first_verdict_stands_and_another_is_noted(first: Verdict, second: Verdict) -> None:
    holding = holding_of()
    holding.prepared(rows_of(3, 5, 9), T - 300)
    holding.hear(first, T - 50)
    holding.hear(first, T - 49)
    assert not holding.is_contradicted
    holding.hear(second, T - 40)
    assert (holding.is_contradicted, holding.verdict) == (True, first)
    assert holding.tick(T).act.tolist() == ([3, 5, 9] if first is Verdict.COMMIT else [])


def test_who_refused_is_not_prepared_by_a_later_word_and_strangers_are_nobody() -> None:
    holding = holding_of()
    holding.refused(rows_of(3))
    holding.prepared(rows_of(3, 4, 5), T - 10)
    holding.hear(Verdict.COMMIT, T - 5)
    assert holding.tick(T).act.tolist() == [5]


@pytest.mark.parametrize("wrong", [{"window_ms": 0}, {"ask_before_ms": -1}, {"ask_every_ms": 0}])
def test_a_config_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        HoldingConfig(**wrong)
