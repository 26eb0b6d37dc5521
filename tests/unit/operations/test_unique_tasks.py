"""Unique tasks from Python and the verbs, on real roles over the memory engine."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.errors import ResultTimeout
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.task import TaskState
from ohmesh.operations.commands import find_command
from ohmesh.operations.results import ChangedTasks, TaskOutcome
from tests.unit.mesh_in_memory import mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def test_every_handle_of_one_key_ends_with_the_task_that_lives(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        await mesh.pause("echo")
        first = await mesh.submit("echo", 1, unique="key")
        quick = mesh.submit_nowait("echo", 2, unique="key")
        waiting = asyncio.ensure_future(quick.result(20))
        third = await mesh.submit("echo", 3, unique="key")
        await quick.accepted()
        assert (first.is_joined, quick.is_joined, third.is_joined) == (False, True, True)
        assert first.id == quick.id == third.id
        assert len(await mesh.tasks(kind="echo")) == 1
        await mesh.resume("echo")
        assert await first.result(10) == await waiting == await third.result(10) == [[1], {}]
        again = await mesh.submit("echo", 4, unique="key")
        assert again.id != first.id
        assert await again.result(10) == [[4], {}]

    with_mesh(run, scenario)


def test_within_its_span_a_key_gives_the_task_that_succeeded(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        first = await mesh.submit("echo", 1, unique_for=3_600)
        assert await first.result(10) == [[1], {}]
        again = await mesh.submit("echo", 1, unique_for=3_600)
        assert (again.id, again.is_joined) == (first.id, True)
        assert await again.result(10) == [[1], {}]
        other = await mesh.submit("echo", 2, unique_for=3_600)
        assert (other.id != first.id, await other.result(10)) == (True, [[2], {}])
        submit = find_command("submit")
        wish = submit.parse({"kind": "echo", "arguments": [1], "unique_for_s": 3_600, "wait_s": 10})
        outcome = await submit.call(mesh.client, wish)
        assert isinstance(outcome, TaskOutcome)
        assert (outcome.task_id, outcome.value, outcome.joined) == (first.id, [[1], {}], True)

    with_mesh(run, scenario)


def test_the_same_key_with_other_arguments_is_told_to_be_there_already(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        submit = find_command("submit")

        async def do(value: int) -> TaskOutcome:
            values = {"kind": "echo", "arguments": [value], "key": "kk"}
            outcome = await submit.call(mesh.client, submit.parse(values))
            assert isinstance(outcome, TaskOutcome)
            return outcome

        await mesh.pause("echo")
        first, second = await do(1), await do(2)
        assert (first.existed, second.existed) == (False, True)
        await mesh.resume("echo")
        assert await mesh.result(first.task_id, 10) == [[1], {}]

    with_mesh(run, scenario)
    out, talk = io.StringIO(), io.StringIO()
    present(TaskOutcome("A", TaskState.QUEUED, existed=True), Output(out=out, talk=talk))
    assert "there already with this key" in talk.getvalue()


def test_a_receipt_of_a_kind_that_nobody_runs_says_so(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        submit = find_command("submit")
        for kind, unserved in (("echo", False), ("nosuchkind", True)):
            receipt = await submit.call(mesh.client, submit.parse({"kind": kind}))
            assert isinstance(receipt, TaskOutcome)
            assert receipt.unserved == unserved
        assert isinstance(receipt, TaskOutcome)
        out, talk = io.StringIO(), io.StringIO()
        present(receipt, Output(out=out, talk=talk))
        assert out.getvalue() == f"{receipt.task_id}\n"
        assert "no worker runs its kind" in talk.getvalue()
        with pytest.raises(ResultTimeout, match="no worker ran its kind"):
            await (await mesh.submit("nosuchkind")).result(0.01)

    with_mesh(run, scenario)


def test_a_queue_of_a_kind_that_nobody_knows_is_paused_with_a_word(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        assert not (await mesh.pause("echo")).unknown
        paused = await mesh.pause("nosuch99")
        assert paused.unknown
        out, talk = io.StringIO(), io.StringIO()
        present(paused, Output(out=out, talk=talk))
        assert "is it spelt so?" in talk.getvalue()
        await mesh.submit("nosuch98")
        assert not (await mesh.limit("nosuch98", concurrency=1)).unknown

    with_mesh(run, scenario)


def test_another_program_joins_too_and_is_told(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        submit = find_command("submit")

        async def do(value: int) -> TaskOutcome:
            wish = submit.parse({"kind": "never", "arguments": [value], "unique": "key"})
            outcome = await submit.call(mesh.client, wish)
            assert isinstance(outcome, TaskOutcome)
            return outcome

        first, second = await do(1), await do(2)
        assert (first.joined, second.joined) == (False, True)
        assert first.task_id == second.task_id
        talk = io.StringIO()
        present(second, Output(out=io.StringIO(), talk=talk))
        assert "there already with this unique key" in talk.getvalue()
        handle = mesh.submit_nowait("never", unique="key")
        await handle.accepted()
        await mesh.cancel(handle.id)
        assert (await handle.end(10)).state is TaskState.CANCELLED

    with_mesh(run, scenario)


def test_the_progress_of_one_that_joins_is_that_of_the_task_that_runs(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        first = await mesh.submit("steps", unique="key")
        quick = mesh.submit_nowait("steps", unique="key")
        seen = [step.task_id async for step in quick.progress()]
        assert seen
        assert set(seen) == {first.id}

    with_mesh(run, scenario)


def test_a_dead_letter_whose_key_is_taken_stays_one(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        dead = await mesh.submit("fail", unique="key")
        await dead.end(10)
        await mesh.pause("fail")
        waiting = await mesh.submit("fail", unique="key")
        assert not waiting.is_joined
        for changed in (await mesh.retry(dead.id), await mesh.replay(dead.id), await mesh.replay(all=True)):
            assert changed == ChangedTasks([], key_taken=[dead.id])
        out = io.StringIO()
        present(changed, Output(out=out))
        assert "its unique key is taken by another" in out.getvalue()

    with_mesh(run, scenario)
