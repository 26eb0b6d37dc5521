"""The judge of benchmarks/chaos.py before forged evidence: whatever it is there to see, it sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.chaos_judge import Entry, Unjudgeable, Verdict, judge

pack = msgspec.msgpack.encode


@dataclass
class Forgery:
    """A run of two wishes that went well, until a test changes something."""

    folder: Path
    tried: list[str] = field(default_factory=lambda: ["1 python", "2 http"])
    acknowledged: list[str] = field(default_factory=lambda: ["1 A python", "2 B http"])
    seen: list[str] = field(default_factory=lambda: ['A succeeded [1,"x"]', 'B succeeded [2,"y"]'])
    executions: list[str] = field(default_factory=lambda: ["1 x", "2 y"])
    frames: list[tuple[int, list[Any]]] = field(
        default_factory=lambda: [
            (1, [[1, 1, "node", 0]]),
            (1, [submitted("A", 1), submitted("B", 2)]),
            (1, [granted(7, "A", "B")]),
            (1, [succeeded(7, [1, "x"])]),
            (1, [succeeded(8, [2, "y"])]),
        ]
    )

    def verdict(self, *, first: int = 1) -> Verdict:
        for name in ("tried", "acknowledged", "seen", "executions"):
            (self.folder / name).write_text("".join(f"{line}\n" for line in getattr(self, name)))
        return judge({"shard": self.entries()[first - 1 :]}, self.folder)

    def entries(self) -> list[Entry]:
        entries: list[Entry] = []
        previous = b""
        for sequence, (epoch, rows) in enumerate(self.frames, 1):
            data = pack([1, epoch, sequence, previous, rows])
            previous = hashlib.blake2b(data, digest_size=16).digest()
            entries.append((sequence, data))
        return entries


def submitted(task_id: str, number: int) -> list[Any]:
    return [2, 0, [[task_id, "kind", pack([[number, 0.01], {}]), 1, 0]]]


def granted(lease: int, *task_ids: str) -> list[Any]:
    return [3, 0, "host/agent", lease, 30_000, list(task_ids)]


def succeeded(lease: int, value: list[Any]) -> list[Any]:
    return [4, 0, [lease], [pack(value)], [0]]


def failed(lease: int, state: str) -> list[Any]:
    return [5, 0, lease, ["Error", "no", ""], state]


@pytest.fixture
def run(tmp_path: Path) -> Forgery:
    return Forgery(tmp_path)


def test_a_run_that_went_well_is_clean(run: Forgery) -> None:
    verdict = run.verdict()
    assert verdict.is_clean, verdict.words
    assert (verdict.submitted, verdict.final, verdict.extra_executions, verdict.ambiguous) == (2, 2, 0, 0)
    assert verdict.by_state == {"succeeded": 2}


def test_an_acknowledged_task_that_is_not_in_the_log_is_lost(run: Forgery) -> None:
    run.acknowledged.append("3 C python")
    run.tried.append("3 python")
    verdict = run.verdict()
    assert (verdict.lost, verdict.submitted, verdict.final) == (1, 3, 2)
    assert not verdict.is_clean


def test_an_acknowledged_task_that_never_ended_is_lost(run: Forgery) -> None:
    del run.frames[-1]
    run.seen = run.seen[:1]
    verdict = run.verdict()
    assert (verdict.lost, verdict.final) == (1, 1)
    assert not verdict.is_clean


def test_a_task_that_waits_for_its_next_attempt_has_not_ended(run: Forgery) -> None:
    run.frames[-1] = (1, [failed(8, "retrying")])
    run.seen = run.seen[:1]
    assert run.verdict().lost == 1


def test_a_failure_for_good_is_an_end(run: Forgery) -> None:
    run.frames[-1] = (1, [failed(8, "dead")])
    run.seen[1] = "B dead null"
    verdict = run.verdict()
    assert verdict.is_clean, verdict.words
    assert verdict.by_state == {"succeeded": 1, "dead": 1}


def test_two_accepted_results_of_one_task_are_a_double_commit(run: Forgery) -> None:
    run.frames[-1:] = [(1, [[6, 0, [8], "handed back"], granted(9, "B")]), (1, [succeeded(9, [2, "y"])])]
    assert run.verdict().is_clean
    run.frames.append((1, [succeeded(8, [2, "y"])]))
    verdict = run.verdict()
    assert verdict.committed_twice == 1
    assert not verdict.is_clean


def test_a_second_success_of_the_same_lease_is_a_double_commit(run: Forgery) -> None:
    run.frames.append((1, [succeeded(8, [2, "y"])]))
    assert run.verdict().committed_twice == 1


def test_an_end_in_both_a_cancellation_and_a_result_is_a_double_commit(run: Forgery) -> None:
    run.frames.insert(4, (1, [[7, 0, ["B"]]]))
    assert run.verdict().committed_twice == 1


def test_two_results_that_clients_were_told_are_a_double_commit(run: Forgery) -> None:
    run.executions.append("2 z")
    run.seen.append('B succeeded [2,"z"]')
    verdict = run.verdict()
    assert verdict.committed_twice == 1
    assert not verdict.is_clean


def test_a_result_that_the_log_does_not_hold_is_noticed(run: Forgery) -> None:
    run.executions.append("2 z")
    run.seen[1] = 'B succeeded [2,"z"]'
    assert run.verdict().unexplained == 1


def test_a_result_that_no_handler_gave_is_noticed(run: Forgery) -> None:
    run.executions.remove("2 y")
    verdict = run.verdict()
    assert verdict.unexplained == 1
    assert not verdict.is_clean


def test_an_outcome_of_a_replaced_attempt_is_a_fault(run: Forgery) -> None:
    """Not only when it comes second: before the attempt that replaced it has ended, nothing is doubled yet."""
    run.frames[-1:] = [(1, [failed(8, "retrying"), granted(9, "B")]), (1, [succeeded(8, [2, "y"])])]
    verdict = run.verdict()
    assert (verdict.committed_twice, verdict.faults) == (0, 1)
    assert not verdict.is_clean


def test_a_grant_of_what_is_running_or_has_ended_is_a_fault(run: Forgery) -> None:
    run.frames.insert(3, (1, [granted(9, "A")]))
    assert run.verdict().faults == 1
    run.frames[3] = (1, [])
    run.frames.append((1, [granted(9, "A")]))
    assert run.verdict().faults == 1


def test_an_entry_of_a_replaced_dispatcher_is_a_fault(run: Forgery) -> None:
    run.frames.insert(3, (2, [[1, 2, "other", 0]]))
    assert run.verdict().faults == len(run.frames[4:])


def test_one_wish_that_became_two_tasks_is_noticed(run: Forgery) -> None:
    run.frames[1][1].append(submitted("C", 2))
    run.frames[2] = (1, [granted(7, "A", "B", "C")])
    run.frames.append((1, [succeeded(9, [2, "z"])]))
    run.executions.append("2 z")
    verdict = run.verdict()
    assert (verdict.doubled, verdict.extra_executions) == (1, 1)
    assert not verdict.is_clean


def test_a_wish_that_nobody_acknowledged_counts_when_it_is_there_and_not_when_it_is_not(run: Forgery) -> None:
    run.tried += ["3 python", "4 python"]
    run.frames.insert(2, (1, [submitted("C", 3)]))
    run.frames.append((1, [granted(9, "C"), succeeded(9, [3, "z"])]))
    run.executions.append("3 z")
    verdict = run.verdict()
    assert verdict.is_clean, verdict.words
    assert (verdict.submitted, verdict.final, verdict.ambiguous) == (3, 3, 1)


def test_a_log_that_was_trimmed_cannot_be_judged(run: Forgery) -> None:
    with pytest.raises(Unjudgeable, match="entry 1 is missing"):
        run.verdict(first=2)


def test_a_row_that_the_judge_cannot_read_leaves_nothing_unsaid(run: Forgery) -> None:
    run.frames.append((1, [[99, 0, ["B"]]]))
    with pytest.raises(Unjudgeable, match="tag 99"):
        run.verdict()


def test_a_log_whose_chain_is_broken_is_a_fault(run: Forgery) -> None:
    entries = run.entries()
    sequence, data = entries[3]
    version, epoch, frame, _, rows = msgspec.msgpack.decode(data)
    entries[3] = (sequence, pack([version, epoch, frame, b"elsewhere", rows]))
    assert judge({"shard": entries}, run.folder).faults == 2
