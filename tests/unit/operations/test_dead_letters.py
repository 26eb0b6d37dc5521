"""The verbs about dead letters and queues, on real roles over the memory engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import msgspec
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.task import TaskState
from ohmesh.operations import results as r
from ohmesh.operations.commands import find_command
from ohmesh.roles.client import Client
from tests.unit.mesh_in_memory import mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]
KINDS = ("fail", "echo", "never")


class Doors:
    """A client, and verbs by name."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, name: str, **values: object) -> msgspec.Struct:
        command = find_command(name)
        result = await command.call(self.client, command.parse(values))
        assert type(result) is command.result_type()
        return result

    async def submit(self, kind: str, *, wait_s: float = 10) -> str:
        outcome = await self("submit", kind=kind, wait_s=wait_s)
        assert isinstance(outcome, r.TaskOutcome)
        return outcome.task_id

    async def dead(self, **values: object) -> list[str]:
        page = await self("dlq list", **values)
        assert isinstance(page, r.DeadLetters)
        return [task.task_id for task in page]

    async def changed(self, name: str, **values: object) -> r.ChangedTasks:
        changed = await self(name, **values)
        assert isinstance(changed, r.ChangedTasks)
        return changed

    async def queues(self) -> dict[str, r.QueueState]:
        listed = await self("queues list")
        assert isinstance(listed, r.QueueList)
        assert len(str(listed).splitlines()) == len(listed)
        return {queue.kind: queue for queue in listed}


def on_mesh(run: Run, scenario: Callable[[Doors], Awaitable[None]]) -> None:
    async def main() -> None:
        async with mesh_in_memory() as client:
            await scenario(Doors(client))

    run(main())


def test_dead_letters_are_listed_and_shown_with_their_reason(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        first, second = await doors.submit("fail"), await doors.submit("fail")
        good = await doors.submit("echo")
        assert await doors.dead() == [second, first]
        assert await doors.dead(kind="echo") == []
        page = await doors("dlq list", kind="fail", limit=1)
        assert isinstance(page, r.DeadLetters)
        assert (page.total, await doors.dead(kind="fail", after=page.after)) == (2, [first])
        shown = await doors("dlq get", task_ids=[first, good])
        assert isinstance(shown, r.DeadLetterDetails)
        assert [task.task_id for task in shown] == [first]
        assert shown.tasks[0].failures
        assert shown.unknown == [good]
        assert (await doors.queues())["fail"].dead_letters == 2

    on_mesh(run, scenario)


def test_a_replay_runs_again_and_accounts_for_each_id(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        dead, good = await doors.submit("fail"), await doors.submit("echo")
        await doors("queues pause", kind="fail")
        changed = await doors.changed("dlq replay", task_ids=[good, "NEVERWAS", dead, dead])
        assert changed == r.ChangedTasks([dead], [good], ["NEVERWAS"])
        assert await doors.dead() == []
        assert str(changed) == "1 done, 1 too late, 1 unknown"
        await doors("queues resume", kind="fail")
        ended = await doors("result", task_id=dead, wait_s=10)
        assert isinstance(ended, r.TaskOutcome)
        assert (ended.state, ended.attempts) == (TaskState.FAILED, 1)
        described = await doors("dlq get", task_ids=[dead])
        assert isinstance(described, r.DeadLetterDetails)
        assert len(described.tasks[0].failures) == 2

    on_mesh(run, scenario)


def test_all_dead_letters_of_a_kind_or_of_every_kind_are_meant(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        ids = {await doors.submit("fail") for _ in range(3)}
        assert (await doors.changed("dlq replay", all=True, kind="echo")).done == []
        assert set((await doors.changed("dlq replay", all=True)).done) == ids
        await doors("tasks wait", task_ids=list(ids), wait_s=10)
        assert set((await doors.changed("dlq purge", all=True, kind="fail")).done) == ids
        assert await doors.dead() == []
        listed = await doors("tasks list", state="failed")
        assert isinstance(listed, r.TaskList)
        assert {task.task_id for task in listed} == ids, "as tasks they stay"
        assert (await doors.changed("dlq purge", task_ids=list(ids))).done, "once more is no harm"

    on_mesh(run, scenario)


@pytest.mark.parametrize("verb", ["dlq replay", "dlq purge"])
@pytest.mark.parametrize("values", [{}, {"task_ids": ["T"], "all": True}, {"task_ids": ["T"], "kind": "k"}])
def test_what_is_meant_has_to_be_said(verb: str, values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match="not clear"):
        find_command(verb).parse(values)


def test_a_cancelled_task_is_retried(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        await doors("queues pause", kind="echo")
        task_id = await doors.submit("echo", wait_s=0)
        await doors("tasks cancel", task_ids=[task_id])
        kept = await doors.client.watch(task_id)
        assert (await kept.end(10)).state is TaskState.CANCELLED
        assert (await doors.changed("tasks retry", task_ids=[task_id])).done == [task_id]
        assert (await doors.changed("tasks retry", task_ids=[task_id])).too_late == [task_id]
        await doors("queues resume", kind="echo")
        ended = await doors("result", task_id=task_id, wait_s=10)
        assert isinstance(ended, r.TaskOutcome)
        assert ended.state is TaskState.SUCCEEDED, "who asks after the retry hears of the second run"

    on_mesh(run, scenario)


def test_a_paused_queue_keeps_what_it_is_given_and_a_purge_empties_it(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        paused = await doors("queues pause", kind="echo")
        assert isinstance(paused, r.QueueState)
        assert paused.is_paused
        ids = [await doors.submit("echo", wait_s=0) for _ in range(3)]
        queue = (await doors.queues())["echo"]
        assert (queue.queued, queue.running, queue.is_paused) == (3, 0, True)
        purged = await doors("queues purge", kind="echo")
        assert purged == r.PurgedQueue("echo", 3)
        assert str(purged) == "echo: 3 cancelled"
        listed = await doors("tasks list", state="cancelled")
        assert isinstance(listed, r.TaskList)
        assert {task.task_id for task in listed} == set(ids)
        resumed = await doors("queues resume", kind="echo")
        assert isinstance(resumed, r.QueueState)
        assert not resumed.is_paused
        assert await doors.submit("echo")

    on_mesh(run, scenario)


def test_pages_over_several_shards_keep_what_was_queued_again_in_its_place(run: Run) -> None:
    """It is older by its submission and newer by its order: a page must neither skip nor repeat anything."""

    async def scenario(doors: Doors) -> None:
        ids = [await doors.submit(KINDS[number % 2]) for number in range(6)]
        await doors.changed("dlq replay", task_ids=[ids[0]])
        await doors("result", task_id=ids[0], wait_s=10)
        seen: list[str] = []
        after = ""
        while not seen or after:
            page = await doors("tasks list", limit=2, after=after)
            assert isinstance(page, r.TaskList)
            seen += [task.task_id for task in page]
            after = page.after
        assert sorted(seen) == sorted(ids)

    on_mesh(run, scenario)


def test_a_dead_letter_is_edited_and_get_shows_what_it_is_and_what_it_was(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        receipt = await doors(
            "submit", kind="fail", arguments=["wrong", 2], named={"words": 3}, priority="LOW", wait_s=10
        )
        assert isinstance(receipt, r.TaskOutcome)
        task_id = receipt.task_id
        changed = await doors.changed(
            "dlq edit", task_id=task_id, args=["right"], priority="high", timeout_s=5
        )
        assert changed.done == [task_id]
        await doors("result", task_id=task_id, wait_s=10)
        details = await doors("dlq get", task_ids=[task_id])
        assert isinstance(details, r.DeadLetterDetails)
        (task,) = details.tasks
        assert (task.arguments, task.named, task.priority, task.timeout_ms) == (
            ["right"],
            {"words": 3},
            "HIGH",
            5_000,
        )
        (former,) = task.edits
        assert (former.arguments, former.named, former.priority) == (["wrong", 2], {"words": 3}, "LOW")
        assert len(task.failures) == 2

    on_mesh(run, scenario)


def test_what_is_no_dead_letter_is_not_edited(run: Run) -> None:
    async def scenario(doors: Doors) -> None:
        task_id = await doors.submit("echo")
        late = await doors.changed("dlq edit", task_id=task_id, args=[1])
        assert (late.done, late.too_late) == ([], [task_id])
        assert (await doors.changed("dlq edit", task_id=task_id, priority="LOW")).too_late == [task_id]
        for values in ({"args": [1]}, {"priority": "LOW"}):
            assert (await doors.changed("dlq edit", task_id="nobody", **values)).unknown == ["nobody"]

    on_mesh(run, scenario)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "not said what"),
        ({"args": "text"}, "args: 'text' is no list"),
        ({"kwargs": [1]}, "kwargs: "),
        ({"priority": "SOON"}, "SOON"),
    ],
)
def test_an_edit_that_cannot_be_read_is_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        find_command("dlq edit").parse({"task_id": "t", **values})
