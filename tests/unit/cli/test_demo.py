"""The demo's data and its arithmetic."""

from __future__ import annotations

from ohmesh.assembly.audit import Attempt, Audit
from ohmesh.cli.demo import read_sentences
from ohmesh.cli.demo_report import Percentiles, killed_as_logged, percentiles


def test_the_sentences_are_many_different_and_short_enough_to_read() -> None:
    sentences = read_sentences()
    assert len(set(sentences)) >= 300
    assert all(1 <= len(sentence.split()) <= 80 for sentence in sentences)
    assert not any(sentence.startswith("#") for sentence in sentences)


def test_what_a_killed_worker_held_is_what_the_log_gave_up_for_lost() -> None:
    audit = Audit()
    audit.attempts = {
        1: Attempt("done", "worker-1/text", granted_ms=10, ended_ms=20),
        2: Attempt("held", "worker-1/text", granted_ms=90, ended_ms=600, was_lost=True),
        3: Attempt("held", "worker-2/text", granted_ms=650, ended_ms=700),
        4: Attempt("other", "worker-2/text", granted_ms=90, ended_ms=600, was_lost=True),
    }
    killed = killed_as_logged(audit, "worker-1", 7, killed_ms=100)
    assert (killed.held, killed.first_ms, killed.last_ms) == (1, 550, 550)


def test_percentiles_are_of_the_sorted_values() -> None:
    assert percentiles([]) == Percentiles(0.0, 0.0)
    assert percentiles([3.0, 1.0, 2.0]) == Percentiles(2.0, 3.0)
    assert percentiles([float(value) for value in range(100)]) == Percentiles(50.0, 99.0)
