"""Quarantine: in by a conflict, out by a rule or a person."""

from ohmesh.protocols.conflict.contradictions import Contradictions
from ohmesh.protocols.conflict.quarantine import Quarantine


def test_an_agent_stays_in_as_long_as_one_conflict_holds_it() -> None:
    quarantine = Quarantine()
    assert quarantine.put("c1", ["a", "b"], [b"x"], 0) == ("a", "b")
    assert quarantine.put("c2", ["b", "d"], [], 0) == ("d",)
    assert quarantine.release("c1") == ("a",)
    assert quarantine.agents() == ("b", "d")
    assert quarantine.release("c2") == ("b", "d")
    assert len(quarantine) == 0


def test_a_part_may_be_released() -> None:
    quarantine = Quarantine()
    quarantine.put("c1", ["a", "b"], [b"x"], 0)
    assert quarantine.release("c1", ["a"]) == ("a",)
    held = quarantine.find("c1")
    assert held is not None
    assert held.agents == ("b",)
    assert held.evidence == (b"x",)


def test_more_reports_add_to_what_is_held() -> None:
    quarantine = Quarantine()
    quarantine.put("c1", ["a"], [b"x"], 5)
    assert quarantine.put("c1", ["a", "b"], [b"x", b"y", b""], 9) == ("b",)
    held = quarantine.find("c1")
    assert held is not None
    assert (held.agents, held.evidence, held.since_ms) == (("a", "b"), (b"x", b"y"), 5)


def test_discarding_drops_the_evidence_and_frees_only_who_was_put_right() -> None:
    quarantine = Quarantine()
    quarantine.put("c1", ["a", "b"], [b"x"], 0)
    assert quarantine.discard("c1", cleared=["a"]) == ("a",)
    held = quarantine.find("c1")
    assert held is not None
    assert held.agents == ("b",)
    assert held.evidence == ()


def test_evidence_that_nobody_decided_about_expires() -> None:
    quarantine = Quarantine(keep_ms=100)
    quarantine.put("c1", ["a"], [b"x"], 0)
    assert quarantine.expired(99) == ()
    assert quarantine.expired(100) == ("c1",)
    quarantine.discard("c1")
    assert quarantine.expired(1_000) == ()


def test_releasing_what_is_not_held_does_nothing() -> None:
    assert Quarantine().release("c1") == ()
    assert Quarantine().discard("c1") == ()


def test_distinct_agents_are_counted_and_nobody_accuses_itself() -> None:
    contradictions = Contradictions()
    assert contradictions.take(["a", "a", "b"], "x") == 2
    assert contradictions.take(["b", "x"], "x") == 2
    assert contradictions.take(["c"], "x") == 3
    contradictions.forget(["x"])
    assert contradictions.take(["a"], "x") == 1


def test_the_longest_untouched_are_forgotten() -> None:
    contradictions = Contradictions(limit=2)
    for accused in ("x", "y", "z"):
        contradictions.take(["a"], accused)
    assert contradictions.take(["b"], "x") == 1
