"""The hash of a link: the same however its rows are handed in, another as soon as anything differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.engines.ledger.chain import GENESIS, HASH_BYTES, LinkHash, batch_of, first_entry
from ohmesh.engines.ledger.rows import Row

values = st.one_of(st.integers(0, 1 << 40), st.text(max_size=8), st.binary(max_size=8))
rows = st.lists(st.tuples(st.integers(0, 1 << 40), values, values), max_size=12)


def link(
    task_rows: list[Row],
    event_rows: list[Row],
    *,
    previous: bytes = GENESIS,
    chunk: int = 100,
    number: int = 3,
) -> bytes:
    computed = LinkHash(previous)
    for table, table_rows in (("tasks", task_rows), ("events", event_rows)):
        for start in range(0, len(table_rows), chunk):
            computed.add(table, table_rows[start : start + chunk])
    return computed.finish(number, "shard-0", 9)


@given(rows, rows, st.integers(1, 12))
def test_chunks_do_not_matter(task_rows: list[Row], event_rows: list[Row], chunk: int) -> None:
    assert link(task_rows, event_rows, chunk=chunk) == link(task_rows, event_rows)


@given(rows, rows, rows, rows)
def test_two_batches_have_one_hash_only_when_they_are_the_same(
    tasks: list[Row], events: list[Row], other_tasks: list[Row], other_events: list[Row]
) -> None:
    same = (tasks, events) == (other_tasks, other_events)
    assert (link(tasks, events) == link(other_tasks, other_events)) == same


@given(rows)
def test_rows_of_one_table_are_not_those_of_another(some: list[Row]) -> None:
    assert (link(some, []) == link([], some)) == (not some)


def test_the_hash_before_and_the_number_are_covered() -> None:
    hashes = {link([], []), link([], [], number=4), link([], [], previous=b"x" * HASH_BYTES)}
    assert len(hashes) == 3
    assert {len(each) for each in hashes} == {HASH_BYTES}


def test_a_link_has_the_hash_that_was_published() -> None:
    """A change here makes every existing ledger look forged; it needs a new version of the schema."""
    assert link([(3 << 20, "01HF", b"\x2a")], [(3 << 20, 1, "epoch")]).hex() == PUBLISHED


@given(st.integers(1, 1 << 40), st.integers(0, (1 << 20) - 1))
def test_an_entry_knows_its_batch(number: int, line: int) -> None:
    assert batch_of(first_entry(number) + line) == number


PUBLISHED = "2e7064dacf6e20d4457402cd0d2dac261aa52df75c7b96ff8cd30b7eab958d4b"
