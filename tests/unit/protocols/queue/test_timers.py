"""Timers: each task once, in the order in which they are due, those that left meanwhile not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.task import Submission
from ohmesh.protocols.queue.held_tasks import HeldTasks
from ohmesh.protocols.queue.task_record import Task
from ohmesh.protocols.queue.timers import Timers

BEGIN_MS = 1_750_000_000_000
delays_ms = st.one_of(st.integers(0, 200), st.integers(0, 200_000))


def task(number: int, due_ms: int) -> Task:
    return Task(Submission(f"t{number}", "kind", b"", due_ms=due_ms), number, BEGIN_MS, due_ms=due_ms)


@given(
    st.lists(st.tuples(st.sampled_from(["add", "park", "leave", "wait"]), delays_ms), max_size=80),
)
def test_what_is_due_comes_out_in_order_and_once(events: list[tuple[str, int]]) -> None:
    held = HeldTasks()
    timers = Timers(held)
    timers_due: dict[int, tuple[int, Task | int]] = {}
    now_ms = BEGIN_MS
    for number, (event, span_ms) in enumerate(events, 1):
        due_ms = now_ms + span_ms
        if event == "add":
            made = task(number, due_ms)
            timers.add(made)
            timers_due[number] = (due_ms, made)
        elif event == "park":
            ref = held.parked.park(task(number, due_ms))
            timers.add_parked(ref)
            timers_due[number] = (due_ms, ref)
        elif event == "leave" and timers_due:
            _, left = timers_due.pop(sorted(timers_due)[span_ms % len(timers_due)])
            if isinstance(left, int):
                at_ms = held.parked.due_ms(left)
                held.take_up(left)
                timers.forget_parked(at_ms)
            else:
                timers.forget(left)
        elif event == "wait":
            now_ms += span_ms
            found = list(timers.take_due(now_ms))
            due = sorted((due_ms, number) for number, (due_ms, _) in timers_due.items() if due_ms <= now_ms)
            assert sorted(map(id_of, found)) == sorted(number for _, number in due)
            assert [timers_due[id_of(each)][0] for each in found] == [due_ms for due_ms, _ in due]
            for each in found:
                del timers_due[id_of(each)]
    assert sorted(map(id_of, timers)) == sorted(timers_due)
    assert timers.entries() >= len(timers_due)


def id_of(found: Task | int) -> int:
    return found >> 24 if isinstance(found, int) else found.order


def test_of_many_that_left_few_entries_stay() -> None:
    held = HeldTasks()
    timers = Timers(held)
    for number in range(1, 10_001):
        ref = held.parked.park(task(number, BEGIN_MS + 10**8))
        timers.add_parked(ref)
        if number % 10:
            held.take_up(ref)
            timers.forget_parked(BEGIN_MS + 10**8)
    assert len(list(timers)) == 1_000
    assert timers.entries() <= 2_000


def test_some_of_what_is_due_may_be_left_for_later() -> None:
    timers = Timers(HeldTasks())
    for number in range(1, 11):
        timers.add(task(number, BEGIN_MS + number))
    first = timers.take_due(BEGIN_MS + 100_000)
    assert [id_of(next(first)) for _ in range(4)] == [1, 2, 3, 4]
    timers.add(task(11, BEGIN_MS + 50))
    assert [id_of(each) for each in timers.take_due(BEGIN_MS + 100_000)] == [5, 6, 7, 8, 9, 10, 11]
