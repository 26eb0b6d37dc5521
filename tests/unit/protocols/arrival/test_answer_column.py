"""What each target answered, however often and from wherever it is heard."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.protocols.arrival.answer_column import MAX_VALUES, AnswerColumn


def column(*answers: str) -> AnswerColumn:
    """Target by target; "" has not answered."""
    found = AnswerColumn(len(answers))
    for place, answer in enumerate(answers):
        if answer:
            found.take(np.array([place]), np.array([1], np.uint16), (answer.encode(),))
    return found


def tallied(found: AnswerColumn, *, most: int = 10, few: int = 2) -> tuple[dict[str, int], int, list[int]]:
    tally = found.tally(most=most, few=few)
    return {value.decode(): count for value, count in tally.values}, tally.omitted, tally.odd.tolist()


@pytest.mark.parametrize(
    ("answers", "counts", "odd"),
    [
        (("a", "a", "a", "b"), {"a": 3, "b": 1}, [3]),
        (("b", "a", "a", "a", "c", "b"), {"a": 3, "b": 2, "c": 1}, [0, 4, 5]),
        (("a", "b"), {"a": 1, "b": 1}, []),
        (("a", "a", "b", "b"), {"a": 2, "b": 2}, []),
        (("", "a", "", "a", "a"), {"a": 3}, []),
        ((), {}, []),
        (("", ""), {}, []),
    ],
)
def test_answers_are_counted_by_value_and_the_odd_ones_named(
    answers: tuple[str, ...], counts: dict[str, int], odd: list[int]
) -> None:
    assert tallied(column(*answers)) == (counts, 0, odd)


def test_the_first_answer_of_a_target_stands() -> None:
    found = column("a", "a", "a")
    found.take(np.array([0, 1, 2]), np.array([1, 2, 0], np.uint16), (b"b", b"a"))
    assert tallied(found)[0] == {"a": 3}


def test_codes_of_two_tables_mean_what_each_says() -> None:
    found = AnswerColumn(4)
    found.take(np.array([0, 1]), np.array([1, 2], np.uint16), (b"x", b"y"))
    found.take(np.array([2, 3]), np.array([2, 1], np.uint16), (b"y", b"x"))
    assert tallied(found)[0] == {"x": 2, "y": 2}


def test_the_most_frequent_come_first_and_the_others_are_counted() -> None:
    found = column("c", "a", "b", "a", "c", "a")
    tally = found.tally(most=2, few=0)
    assert tally.values == ((b"a", 3), (b"c", 2))
    assert tally.omitted == 1


def test_beyond_its_bound_values_are_counted_together() -> None:
    count = MAX_VALUES + 5
    found = column(*(f"answer {number}" for number in range(count)))
    tally = found.tally(most=count, few=0)
    assert (len(tally.values), tally.omitted) == (MAX_VALUES, 5)
