"""Parked tasks: what is taken up is what was parked, found by its id and in its order, and its room is used again."""

from __future__ import annotations

import random

import msgspec
import pytest
from msgspec import structs

from ohmesh.model.task import Submission, TaskFailure, TaskState
from ohmesh.protocols.queue.parked import ParkedTasks
from ohmesh.protocols.queue.task_record import Task

NOW_MS = 1_750_000_000_000


def submission(number: int, **fields: object) -> Submission:
    made = Submission(
        f"t{number}",
        f"kind-{number % 3}",
        b"payload" * (number % 5),
        priority=number % 4,
        created_ms=NOW_MS,
        due_ms=NOW_MS + 100_000 + number,
        requires=("gpu",) if number % 2 else (),
    )
    return structs.replace(made, **fields)


def fresh(number: int) -> Task:
    made = submission(number)
    return Task(made, number, NOW_MS, due_ms=made.due_ms)


def retrying(number: int) -> Task:
    task = fresh(number)
    task.state, task.attempts, task.due_ms = TaskState.RETRYING, 2, NOW_MS + 70_000
    task.failures = (TaskFailure("ValueError", "no"),)
    task.agent, task.started_ms = "host/agent", NOW_MS - 5
    return task


def handed_back(number: int) -> Task:
    task = fresh(number)
    task.losses, task.timeout_ms = 1, 30_000
    return task


@pytest.mark.parametrize("make", [fresh, retrying, handed_back])
def test_a_task_comes_back_as_it_was(make: object) -> None:
    assert callable(make)
    parked, task = ParkedTasks(), make(7)
    ref = parked.park(task)
    assert parked.read(ref) == task
    assert bytes(parked.encoded(ref)) == msgspec.msgpack.encode(task)
    assert (parked.ready_ms(ref), parked.due_ms(ref)) == (task.due_ms, task.due_ms)
    assert (parked.priority(ref), parked.place(ref)) == (3, ("kind-1", ("gpu",)))
    assert parked.take_up(ref) == task
    assert not parked.holds(ref)
    assert parked.find("t7") == 0


def test_thousands_come_and_go_in_any_order() -> None:
    rng, parked = random.Random(1), ParkedTasks()
    held: dict[str, tuple[int, Task]] = {}
    for number in range(1, 6_001):
        task = rng.choice([fresh, retrying, handed_back])(number)
        held[task.task_id] = (parked.park(task), task)
        while held and rng.random() < 0.45:
            task_id = rng.choice(list(held)[:50])
            ref, task = held.pop(task_id)
            assert parked.find(task_id) == ref
            assert parked.take_up(ref) == task
    assert parked.count == len(held)
    assert [parked.read(ref) for ref in parked.in_order()] == [task for _, task in held.values()]
    assert all(parked.find(task_id) == ref for task_id, (ref, _) in held.items())
    for ref, _ in held.values():
        parked.take_up(ref)
    assert (parked.count, parked.find("t6000"), list(parked.in_order()), +parked.queued) == (0, 0, [], {})


def test_a_reference_is_void_though_its_slot_is_used_again() -> None:
    parked = ParkedTasks()
    former = parked.park(fresh(1))
    parked.take_up(former)
    present = parked.park(fresh(2))
    assert parked.holds(present)
    assert not parked.holds(former)


def test_a_note_goes_with_its_task() -> None:
    parked = ParkedTasks()
    parked.notes = {"t1": "client", "t2": ("client", "another")}
    refs = [parked.park(fresh(number)) for number in (1, 2, 3)]
    assert parked.notes == {}
    assert [parked.note(ref) for ref in refs] == ["client", ("client", "another"), None]
    parked.set_note(refs[0], "another")
    parked.set_note(refs[2], "client")
    for ref in refs:
        parked.take_up(ref)
    assert parked.notes == {"t1": "another", "t2": ("client", "another"), "t3": "client"}


def test_a_page_has_those_of_a_kind_and_a_state_below_an_order() -> None:
    parked = ParkedTasks()
    tasks = [(retrying if number % 2 else fresh)(number) for number in range(1, 13)]
    for task in tasks:
        parked.park(task)

    def orders(below: int | None, kind: str, state: str) -> list[int]:
        return [parked.read(ref).order for ref in parked.newest_first(below, kind, state)]

    assert orders(None, "", "") == list(range(12, 0, -1))
    assert orders(10, "kind-0", "") == [9, 6, 3]
    assert orders(None, "", "retrying") == [11, 9, 7, 5, 3, 1]
    assert orders(8, "kind-1", "queued") == [4]
    assert orders(None, "", "running") == orders(None, "no such kind", "") == []


def test_how_many_are_queued_is_known_by_kind() -> None:
    parked = ParkedTasks()
    envelope = submission(1, items=4, payload=b"\x94\x01\x01\x01\x01")
    refs = [parked.park_submission(envelope, 1, NOW_MS), parked.park(fresh(4)), parked.park(retrying(7))]
    assert parked.queued == {"kind-1": 5}
    for ref in refs:
        parked.take_up(ref)
    assert parked.queued == {}


@pytest.mark.parametrize("later_ms", [1 << 32, -1, 0])
def test_times_of_submission_may_be_far_from_each_other(later_ms: int) -> None:
    parked = ParkedTasks()
    parked.park(fresh(1))
    task = Task(submission(2, due_ms=0), 2, NOW_MS + later_ms)
    ref = parked.park(task)
    assert parked.ready_ms(ref) == NOW_MS + later_ms
    assert parked.take_up(ref) == task
