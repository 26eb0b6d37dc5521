"""Histories with known verdicts, and random ones against a twin that tries every order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.simulator.linearizability import NEVER, Act, Call, is_linearizable


def write(value: int, called: float, returned: float = NEVER, key: str = "x") -> Call:
    return Call(key, Act.WRITE, called, value, returned)


def read(value: int | None, called: float, returned: float, key: str = "x") -> Call:
    return Call(key, Act.READ, called, value, returned)


def swap(expected: int | None, value: int, times: tuple[float, float], *, is_done: bool = True) -> Call:
    return Call("x", Act.SWAP, times[0], value, times[1], expected, is_done)


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        ([], True),
        ([read(None, 0, 1)], True),
        ([read(1, 0, 1)], False),
        ([write(1, 0, 1), read(1, 2, 3)], True),
        ([write(1, 0, 1), read(None, 2, 3)], False),
        ([write(1, 0, 3), read(None, 1, 2)], True),
        ([write(1, 0, 3), read(1, 1, 2)], True),
        # Two reads in the midst of a write: once the new value was seen, the old one cannot be seen later.
        ([write(1, 0, 9), read(1, 1, 2), read(None, 3, 4)], False),
        ([write(1, 0, 9), read(None, 1, 2), read(1, 3, 4)], True),
        # A write that nobody saw the end of may come late, or never.
        ([write(1, 0), read(None, 5, 6), read(1, 7, 8)], True),
        ([write(1, 0), read(None, 5, 6)], True),
        ([write(1, 0), write(2, 1, 2), read(2, 3, 4), read(1, 5, 6)], True),
        ([write(1, 0), write(2, 1, 2), read(1, 3, 4), read(2, 5, 6)], False),
        # Registers are judged alone.
        ([write(1, 0, 1), read(None, 2, 3, key="y")], True),
        ([write(1, 0, 1), read(1, 2, 3, key="y")], False),
        ([swap(None, 1, (0, 1)), swap(None, 2, (2, 3))], False),
        ([swap(None, 1, (0, 1)), swap(None, 2, (2, 3), is_done=False)], True),
        ([swap(None, 1, (0, 4)), swap(None, 2, (1, 3))], False),
        ([swap(None, 1, (0, NEVER)), read(None, 1, 2), swap(1, 2, (3, 4)), read(2, 5, 6)], True),
    ],
)
def test_a_history_of_known_verdict_gets_it(history: list[Call], verdict: bool) -> None:
    assert is_linearizable(history) is verdict


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        called = draw(st.integers(0, 12))
        returned = draw(st.one_of(st.integers(called, 14), st.just(NEVER)))
        act = draw(st.sampled_from(Act))
        value = draw(st.sampled_from([1, 2] if act is not Act.READ else [None, 1, 2]))
        expected = draw(st.sampled_from([None, 1, 2]))
        found.append(Call("x", act, called, value, returned, expected, draw(st.booleans())))
    return found


def by_trying_every_order(history: list[Call]) -> bool:
    """The definition: some order of all that ended, and of some that did not, keeps real time and explains each."""
    seen = [call for call in history if call.returned < NEVER]
    unseen = [call for call in history if call.returned == NEVER and call.act is not Act.READ]
    for size in range(len(unseen) + 1):
        for chosen in itertools.combinations(unseen, size):
            for order in itertools.permutations([*seen, *chosen]):
                if _keeps_time(order) and _explains(order):
                    return True
    return False


def _keeps_time(order: tuple[Call, ...]) -> bool:
    return not any(later.returned < earlier.called for earlier, later in itertools.combinations(order, 2))


def _explains(order: tuple[Call, ...]) -> bool:
    value: int | None = None
    for call in order:
        if call.act is Act.READ:
            if call.value != value:
                return False
        elif call.act is Act.WRITE:
            value = call.value
        else:
            matches = call.expected == value
            if call.returned < NEVER and matches != call.is_done:
                return False
            value = call.value if matches else value
    return True


@settings(max_examples=150, deadline=None)
@given(histories())
def test_it_says_what_trying_every_order_says(history: list[Call]) -> None:
    assert is_linearizable(history) == by_trying_every_order(history)
