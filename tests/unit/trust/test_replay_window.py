"""Each counter once, held against a set that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.trust.replay_window import ReplayWindow


@given(st.integers(1, 20), st.lists(st.integers(0, 60), max_size=80))
def test_a_counter_is_new_once_and_while_it_is_within_the_window(size: int, counters: list[int]) -> None:
    window = ReplayWindow(size)
    seen: set[int] = set()
    for counter in counters:
        is_new = counter not in seen and counter > max(seen, default=-1) - size
        assert window.is_new(counter) is is_new
        if is_new:
            window.take(counter)
            seen.add(counter)


def test_a_leap_costs_no_memory() -> None:
    window = ReplayWindow(8)
    window.take(0)
    window.take(1 << 62)
    assert not window.is_new(1 << 62)
    assert window.is_new((1 << 62) - 7)
    assert not window.is_new((1 << 62) - 8)


def test_what_is_remembered_is_as_wide_as_the_window() -> None:
    window = ReplayWindow(8)
    for counter in range(100):
        window.take(counter)
    assert window._seen == 0xFF
