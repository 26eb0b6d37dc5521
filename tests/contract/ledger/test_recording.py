"""Recording: batches whole, once, in order; what was recorded comes back as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from ohmesh.engines.ledger import LedgerConfig, open_ledger
from ohmesh.errors import Backpressure, EngineFailed, EngineUnavailable, InvalidArgument, SequenceConflict
from ohmesh.model.task import TaskFailure, TaskState, TaskView
from ohmesh.ports.ledger import Batch, Event, TaskQuery
from tests.contract.ledger.conftest import Place
from tests.contract.ledger.samples import START_MS, batch, finished

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_every_field_of_a_task_comes_back(run: Run, place: Place) -> None:
    full = TaskView(
        task_id="01HF-full",
        kind="text",
        state=TaskState.DEAD,
        priority=3,
        attempts=2,
        max_attempts=4,
        submitted_ms=START_MS,
        started_ms=START_MS + 1,
        finished_ms=START_MS + 2,
        due_ms=START_MS - 1,
        host="host-1",
        agent="host-1/text-0",
        failures=(
            TaskFailure("ValueError", "nö 'quoted' \x00", "line 1\nline 2"),
            TaskFailure("timeout", "30 s"),
        ),
        value=bytes(range(256)),
        value_omitted_bytes=7,
        order=12,
        complexity="large",
        items=3,
        opened=(0, 2),
        timeout_ms=500,
    )
    unset = {name for name in full.__struct_fields__ if not getattr(full, name)}
    assert unset == {"payload", "payload_omitted_bytes", "edits"}, (
        "give each new field of TaskView a value here"
    )

    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.record(Batch("shard-0", 1, tasks=[full]))
        page = await ledger.tasks(TaskQuery(task_ids=[full.task_id]))
        await ledger.close()
        assert list(page.tasks) == [full]

    run(scenario())


def test_a_retry_of_a_batch_changes_nothing(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        for position in (1, 2, 2, 1, 2):
            await ledger.record(batch(position))
        assert await ledger.position("shard-0") == 2
        verdict = await ledger.verify()
        await ledger.close()
        assert (verdict.batches, verdict.entries, verdict.broken_at) == (2, 12, 0)

    run(scenario())


def test_a_batch_that_begins_elsewhere_than_the_ledger_ends_is_refused(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.record(batch(5, follows=0))
        with pytest.raises(SequenceConflict) as caught:
            await ledger.record(batch(9, follows=4))
        await ledger.record(batch(9, follows=5))
        assert (caught.value.expected, caught.value.last) == (4, 5)
        assert await ledger.position("shard-0") == 9
        await ledger.close()

    run(scenario())


def test_each_source_has_a_position_of_its_own(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.record(batch(7, source="shard-1"))
        await ledger.record(batch(3, source="shard-2"))
        positions = [await ledger.position(f"shard-{number}") for number in range(3)]
        await ledger.close()
        assert positions == [0, 7, 3]

    run(scenario())


def test_a_batch_with_nothing_in_it_moves_the_position(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.record(Batch("shard-0", 4_000))
        assert await ledger.position("shard-0") == 4_000
        assert (await ledger.verify()).batches == 1
        await ledger.close()

    run(scenario())


def test_a_task_that_ended_twice_is_shown_by_its_last_end(run: Run, place: Place) -> None:
    dead = finished(2)
    replayed = msgspec.structs.replace(
        dead, state=TaskState.SUCCEEDED, finished_ms=dead.finished_ms + 9, value=b"\x01"
    )

    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.record(Batch("shard-0", 1, tasks=[dead]))
        await ledger.record(Batch("shard-0", 2, tasks=[replayed]))
        newest = await ledger.tasks(TaskQuery(task_ids=[dead.task_id], limit=1))
        both = await ledger.tasks(TaskQuery(task_ids=[dead.task_id]))
        await ledger.close()
        assert list(newest.tasks) == [replayed]
        assert list(both.tasks) == [replayed, dead]

    run(scenario())


def test_a_result_too_large_for_history_leaves_its_size(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(value_bytes_max=100))
        await ledger.record(
            Batch("shard-0", 1, tasks=[finished(0, value=b"x" * 101), finished(1, value=b"y" * 100)])
        )
        page = await ledger.tasks(TaskQuery(task_ids=[finished(0).task_id, finished(1).task_id]))
        await ledger.close()
        kept = {view.task_id: (view.value, view.value_omitted_bytes) for view in page.tasks}
        assert kept == {finished(0).task_id: (b"", 101), finished(1).task_id: (b"y" * 100, 0)}

    run(scenario())


def test_text_that_a_database_refuses_does_not_stop_history(run: Run, place: Place) -> None:
    event = Event(START_MS, "lost\x00tail", "shard\ud800", "a\x00b" * 10_000)

    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(detail_chars_max=100))
        await ledger.record(Batch("shard-0", 1, events=[event]))
        (found,) = await ledger.events()
        verdict = await ledger.verify()
        await ledger.close()
        assert (found.kind, found.subject) == ("lost\ufffdtail", "shard?")
        assert found.detail.endswith("(cut)")
        assert verdict.broken_at == 0

    run(scenario())


def test_events_come_newest_first_and_by_kind(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        for position in range(1, 7):
            await ledger.record(batch(position))
        newest = [each.detail for each in await ledger.events(limit=3)]
        epochs = [each.detail for each in await ledger.events(kind="epoch")]
        await ledger.close()
        assert newest == ["at 6", "at 5", "at 4"]
        assert epochs == ["at 5", "at 3", "at 1"]

    run(scenario())


@pytest.mark.parametrize(
    "refused",
    [
        Batch("", 1),
        Batch("shard-0", 0),
        Batch("shard-0", 1, tasks=[finished(number) for number in range(6)]),
        Batch("shard-0", 1, tasks=[msgspec.structs.replace(finished(0), state=TaskState.RUNNING)]),
    ],
    ids=["no source", "no position", "too many rows", "a task that has not ended"],
)
def test_a_batch_that_cannot_be_meant_is_refused_and_leaves_nothing(
    run: Run, place: Place, refused: Batch
) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(batch_rows_max=5))
        with pytest.raises(InvalidArgument):
            await ledger.record(refused)
        verdict = await ledger.verify()
        await ledger.close()
        assert (verdict.batches, verdict.entries) == (0, 0)

    run(scenario())


def test_a_record_that_was_given_up_happens_once_when_tried_again(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        for position in range(1, 9):
            attempt = asyncio.ensure_future(ledger.record(batch(position, rows=200)))
            await asyncio.sleep(0)
            attempt.cancel()
            await asyncio.wait({attempt})
            await ledger.record(batch(position, rows=200))
        verdict = await ledger.verify()
        await ledger.close()
        assert (verdict.batches, verdict.entries, verdict.broken_at) == (8, 8 * 201, 0)

    run(scenario())


def test_more_waiting_records_than_the_bound_are_told_to_come_back(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url, LedgerConfig(waiting_records_max=1))
        attempts = [ledger.record(batch(position, rows=500)) for position in range(1, 6)]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, Backpressure)]
        verdict = await ledger.verify()
        await ledger.close()
        assert len(refused) == 3
        assert all(each.retry_after_ms > 0 for each in refused)
        assert verdict.batches == 2

    run(scenario())


def test_a_closed_ledger_says_so(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url)
        await ledger.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await ledger.position("shard-0")

    run(scenario())


def test_a_ledger_keeps_the_history_of_one_mesh_and_refuses_that_of_another(run: Run, place: Place) -> None:
    async def scenario() -> None:
        ledger = await open_ledger(place.url, mesh_id="a1")
        await ledger.record(batch(1))
        await ledger.close()
        with pytest.raises(EngineFailed, match=r"another mesh \(its id is a1, ours is b2\)"):
            await open_ledger(place.url, mesh_id="b2")
        again = await open_ledger(place.url, mesh_id="a1")
        assert await again.position("shard-0") == 1, "nothing of the other one was written"
        verdict = await again.verify()
        await again.close()
        assert (verdict.batches, verdict.broken_at) == (2, 0)

    run(scenario())


def test_a_ledger_that_named_no_mesh_belongs_to_the_first_that_opens_it(run: Run, place: Place) -> None:
    async def scenario() -> None:
        old = await open_ledger(place.url)
        await old.record(batch(1))
        await old.close()
        await (await open_ledger(place.url, mesh_id="a1")).close()
        with pytest.raises(EngineFailed):
            await open_ledger(place.url, mesh_id="b2")

    run(scenario())
