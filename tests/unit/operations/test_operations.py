"""Every verb does what its declaration says, on real roles over the memory engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import msgspec
import pytest

from ohmesh.errors import InvalidArgument, ResultTimeout, UnknownTask
from ohmesh.model.task import TaskState
from ohmesh.operations import results as r
from ohmesh.operations.commands import find_command
from ohmesh.roles.client import Client
from tests.unit.mesh_in_memory import AGENTS, HOST, mesh_in_memory

Verb = Callable[..., Awaitable[msgspec.Struct]]
Run = Callable[[Coroutine[object, object, None]], None]


def with_verbs(run: Run, scenario: Callable[[Verb], Awaitable[None]]) -> None:
    """`scenario(verb)` may say `await verb("tasks list", kind="echo")`."""

    async def main() -> None:
        async with mesh_in_memory() as client:
            await scenario(caller(client))

    run(main())


def caller(client: Client) -> Verb:
    async def verb(name: str, **values: object) -> msgspec.Struct:
        command = find_command(name)
        result = await command.call(client, command.parse(values))
        assert type(result) is command.result_type()
        assert msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(result))) is not None
        return result

    return verb


def test_submit_returns_the_id_of_a_durable_task_and_result_its_value(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        receipt = await verb("submit", kind="echo", arguments=[1, "two"], named={"three": 3})
        assert isinstance(receipt, r.TaskOutcome)
        assert receipt.state is TaskState.QUEUED
        ended = await verb("result", task_id=receipt.task_id)
        assert isinstance(ended, r.TaskOutcome)
        assert (ended.state, ended.value) == (TaskState.SUCCEEDED, [[1, "two"], {"three": 3}])
        assert ended.task_id in str(ended)

    with_verbs(run, scenario)


def test_submit_may_wait_and_a_failure_is_a_result(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        good = await verb("submit", kind="echo", wait_s=10, priority="high", key="once")
        again = await verb("submit", kind="echo", wait_s=10, key="once")
        assert good == msgspec.structs.replace(again, existed=False), (
            "whether it was another moment is chance here"
        )
        bad = await verb("submit", kind="fail", wait_s=10)
        assert isinstance(bad, r.TaskOutcome)
        assert bad.state is TaskState.FAILED
        assert bad.failure is not None
        assert bad.attempts == 1
        with pytest.raises(ResultTimeout):
            await verb("submit", kind="never", wait_s=0.05)
        with pytest.raises(InvalidArgument, match="urgent"):
            await verb("submit", kind="echo", priority="urgent")

    with_verbs(run, scenario)


def test_a_wait_in_vain_says_that_nobody_runs_the_kind(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        with pytest.raises(ResultTimeout, match=r"runs kind 'ecko'\. Did you mean 'echo'"):
            await verb("submit", kind="ecko", wait_s=0.05)

    with_verbs(run, scenario)


def test_lists_page_through_what_the_mesh_holds(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        ids = []
        for number in range(7):
            kind = ("echo", "never", "fail")[number % 3]
            receipt = await verb("submit", kind=kind, arguments=[number], wait_s=0 if kind == "never" else 10)
            assert isinstance(receipt, r.TaskOutcome)
            ids.append(receipt.task_id)
        seen: list[str] = []
        after = ""
        while True:
            page = await verb("tasks list", limit=2, after=after)
            assert isinstance(page, r.TaskList)
            assert page.total == 7
            seen += [task.task_id for task in page]
            after = page.after
            if not after:
                break
        assert sorted(seen) == sorted(ids)
        failed = await verb("tasks list", state="FAILED")
        assert isinstance(failed, r.TaskList)
        assert [task.kind for task in failed] == ["fail", "fail"]
        with pytest.raises(InvalidArgument, match="broken"):
            await verb("tasks list", state="broken")

    with_verbs(run, scenario)


def test_get_keeps_the_order_and_names_the_unknown(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        first = await verb("submit", kind="echo", arguments=["a"], wait_s=10)
        second = await verb("submit", kind="fail", wait_s=10)
        assert isinstance(first, r.TaskOutcome)
        assert isinstance(second, r.TaskOutcome)
        listed = await verb("tasks get", task_ids=[second.task_id, "NEVERWAS", first.task_id])
        assert isinstance(listed, r.TaskList)
        assert [task.task_id for task in listed] == [second.task_id, first.task_id]
        assert listed.unknown == ["NEVERWAS"]
        assert listed.tasks[1].value == [["a"], {}]
        assert listed.tasks[0].failures
        assert listed.tasks[0].priority == "NORMAL"

    with_verbs(run, scenario)


def test_a_task_is_tagged_before_it_is_queued_and_keeps_its_tag_to_the_end(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        large = await verb("submit", kind="text", arguments=["word " * 201])
        small = await verb("submit", kind="text", arguments=["word " * 200])
        ended = await verb("submit", kind="echo", wait_s=10)
        assert isinstance(large, r.TaskOutcome)
        assert isinstance(small, r.TaskOutcome)
        assert isinstance(ended, r.TaskOutcome)
        listed = await verb("tasks get", task_ids=[large.task_id, small.task_id, ended.task_id])
        assert isinstance(listed, r.TaskList)
        assert [task.complexity for task in listed] == ["large", "small", "small"]
        with pytest.raises(InvalidArgument, match="begins with b'no pictu'"):
            await verb("submit", kind="image", arguments=[b"no picture"])
        everything = await verb("tasks list")
        assert isinstance(everything, r.TaskList)
        assert everything.total == 3

    with_verbs(run, scenario)


def test_wait_accounts_for_every_id_once(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        done = await verb("submit", kind="echo", wait_s=10)
        endless = await verb("submit", kind="never")
        assert isinstance(done, r.TaskOutcome)
        assert isinstance(endless, r.TaskOutcome)
        ids = [done.task_id, endless.task_id, "NEVERWAS", done.task_id]
        waited = await verb("tasks wait", task_ids=ids, wait_s=0.1)
        assert isinstance(waited, r.TaskOutcomes)
        assert [outcome.task_id for outcome in waited.outcomes] == [done.task_id]
        assert (waited.unfinished, waited.unknown) == ([endless.task_id], ["NEVERWAS"])

    with_verbs(run, scenario)


def test_cancel_ends_a_running_task_and_says_what_was_too_late(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        endless = await verb("submit", kind="never")
        done = await verb("submit", kind="echo", wait_s=10)
        assert isinstance(endless, r.TaskOutcome)
        assert isinstance(done, r.TaskOutcome)
        answer = await verb("tasks cancel", task_ids=[endless.task_id, done.task_id, "NEVERWAS"])
        assert answer == r.Cancellation([endless.task_id], [done.task_id], ["NEVERWAS"])
        ended = await verb("result", task_id=endless.task_id)
        assert isinstance(ended, r.TaskOutcome)
        assert ended.state is TaskState.CANCELLED
        with pytest.raises(UnknownTask):
            await verb("result", task_id="NEVERWAS")

    with_verbs(run, scenario)


def test_workers_and_status_show_the_whole_mesh(run: Run) -> None:
    async def scenario(verb: Verb) -> None:
        endless = await asyncio.gather(*(verb("submit", kind="never") for _ in range(3)))
        assert len(endless) == 3
        workers = await verb("workers")
        assert isinstance(workers, r.WorkerList)
        (host,) = workers
        assert (host.host, sorted(host.kinds)) == (HOST, sorted(one.kind for one in AGENTS))
        status = await verb("status")
        assert isinstance(status, r.MeshStatus)
        assert (status.mesh, status.workers_alive, status.workers_known) == ("memory", 1, 1)
        assert [dispatcher.shard for dispatcher in status.dispatchers] == [0, 1]
        (queue,) = [queue for queue in status.queues if queue.kind == "never"]
        assert queue.queued + queue.running == 3
        assert "1 of 1 workers alive" in str(status)
        assert HOST in str(workers)

    with_verbs(run, scenario)
