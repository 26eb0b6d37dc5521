"""The checkers find what they are there for."""

from __future__ import annotations

import pytest

from ohmesh.errors import PromiseBroken
from ohmesh.simulator.checkers import check_promises, lost_tasks, tasks_committed_twice


def test_an_accepted_task_without_an_end_is_lost() -> None:
    assert lost_tasks({"a", "b", "c"}, {"b": "succeeded"}) == ["a", "c"]
    assert lost_tasks(["a", "a"], {"a"}) == []


def test_a_task_with_two_committed_results_is_named_with_its_leases() -> None:
    assert tasks_committed_twice([("a", 1), ("b", 2), ("a", 3)]) == {"a": [1, 3]}
    assert tasks_committed_twice([("a", 1), ("a", 1)]) == {"a": [1, 1]}
    assert tasks_committed_twice([]) == {}


def test_a_broken_promise_says_which_tasks() -> None:
    check_promises(accepted={"a"}, final={"a": "dead"}, committed=[("a", 1)])
    with pytest.raises(PromiseBroken, match="1 accepted tasks are lost: b; 0 have"):
        check_promises(accepted={"a", "b"}, final={"a": "dead"}, committed=[("a", 1)])
    with pytest.raises(PromiseBroken, match=r"1 have more than one committed result: a \[1, 2\]"):
        check_promises(accepted={"a"}, final={"a": "dead"}, committed=[("a", 1), ("a", 2)])
