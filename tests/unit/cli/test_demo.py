"""The demo's data and its arithmetic."""

from __future__ import annotations

from ohmesh.assembly.audit import Attempt, Audit
from ohmesh.cli.demo_report import Percentiles, killed_as_logged, percentiles
from ohmesh.cli.demo_results import most_decided, photographs_seen
from ohmesh.cli.demo_work import OPERATIONS, PHOTOGRAPHS, Work, demo_work, read_photograph, read_sentences


def test_the_sentences_are_many_different_and_short_enough_to_read() -> None:
    sentences = read_sentences()
    assert len(set(sentences)) >= 300
    assert all(1 <= len(sentence.split()) <= 80 for sentence in sentences)
    assert not any(sentence.startswith("#") for sentence in sentences)


def test_one_task_in_ten_is_about_a_photograph_and_all_are_seen_in_every_way() -> None:
    work = demo_work(400, with_photographs=True)
    about = [one for one in work if one.kind == "image"]
    assert (len(work), len(about)) == (400, 40)
    assert len({(one.subject, one.operation) for one in about}) == len(PHOTOGRAPHS) * len(OPERATIONS)
    assert {one.kind for one in demo_work(400, with_photographs=False)} == {"text"}


def test_the_photographs_are_small_and_their_origin_and_licence_stand_beside_them() -> None:
    origins = read_photograph("README.md").decode()
    for name in PHOTOGRAPHS:
        assert len(read_photograph(name)) <= 60_000
        (line,) = [line for line in origins.splitlines() if f"`{name}`" in line]
        assert "public domain" in line or "CC0" in line


def test_every_sentence_and_photograph_is_shown_once_with_what_was_found() -> None:
    face = Work("image", "face.jpg", [b"", "faces"])
    size = Work("image", "face.jpg", [b"", "size"])
    texts = [(Work("text", f"{score}", []), {"label": "NEUTRAL", "score": score / 9}) for score in range(8)]
    done = [*texts, *texts, (face, {"faces_detected": 2}), (size, {"width": 4, "height": 3})]
    assert [one.sentence for one in most_decided(done)] == ["7", "6", "5", "1", "0"]
    (seen,) = photographs_seen(done)
    assert (seen.name, seen.faces, seen.seen) == ("face.jpg", 2, "4 x 3 pixels, 2 faces")


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
