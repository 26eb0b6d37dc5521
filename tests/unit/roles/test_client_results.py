"""Results: pushes may be lost and dispatchers replaced; whoever awaits a task hears its end."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import MeshUnreachable, ResultTimeout, TaskCancelled, TaskFailed, TaskTimedOut, UnknownTask
from ohmesh.model.task import TaskFailure, TaskResult, TaskState
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_payload import value_of
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import (
    SUBJECTS,
    TEXT,
    Notices,
    ScriptedDispatcher,
    send,
    start_client,
    with_mesh,
)
from tests.unit.simulator.passing_time import pass_time
from tests.waiting import eventually


def test_a_push_that_is_lost_is_asked_for() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.finishes = True
        dispatcher.drop_finished = 1
        handle = client.submit_nowait(TEXT)
        assert await handle.result() == [[], {}]
        assert dispatcher.watched == [handle.id]
        assert 1.0 <= asyncio.get_running_loop().time() < 2.0

    with_mesh(scenario)


def test_a_task_that_nobody_awaits_is_not_asked_for() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        await client.submit(TEXT)
        await pass_time(20)
        assert dispatcher.watched == []

    with_mesh(scenario)


def test_an_awaited_task_is_asked_for_every_two_seconds() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = await client.submit(TEXT)
        with pytest.raises(ResultTimeout, match=handle.id):
            await handle.result(9.9)
        assert dispatcher.watched == [handle.id] * 5
        dispatcher.finish(handle.id)
        assert await handle.result() is None

    with_mesh(scenario)


def test_the_end_is_heard_from_a_dispatcher_that_took_over() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handles = [await client.submit(TEXT) for _ in range(3)]
        awaited = asyncio.create_task(handles[0].result())
        await pass_time(0.1)
        successor = await dispatcher.replace(epoch=2)
        for handle in handles:
            successor.finish(handle.id)
        assert await awaited is None
        await eventually(
            lambda: all(handle.is_done for handle in handles), what="the others, asked for at once"
        )
        await successor.stop()

    with_mesh(scenario)


def test_a_new_dispatcher_is_asked_for_what_is_awaited_first_and_for_the_rest_little_by_little() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handles = [await client.submit(TEXT) for _ in range(20)]
        awaited = asyncio.create_task(handles[-1].result())
        await pass_time(0.1)
        successor = await dispatcher.replace(epoch=2)
        for handle in handles:
            successor.finish(handle.id)
        await successor.present()
        assert await awaited is None
        assert successor.watched[0] == handles[-1].id
        assert len(successor.watched) <= 5
        await eventually(lambda: all(handle.is_done for handle in handles), what="all, five at a time")
        assert set(successor.watched) == {handle.id for handle in handles}
        await successor.stop()

    with_mesh(scenario, ClientConfig(watch_burst_ids=5))


def test_a_submission_is_taken_by_the_dispatcher_that_took_over() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        handle = client.submit_nowait(TEXT)
        await eventually(lambda: dispatcher.frames, what="the frame")
        successor = await dispatcher.replace(epoch=2)
        await handle.accepted()
        assert list(successor.tasks) == [handle.id]
        await successor.stop()

    with_mesh(scenario)


def test_a_new_dispatcher_that_presents_itself_hears_at_once_what_was_lost() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        accepted = await client.submit(TEXT)
        await dispatcher.stop()
        unanswered = client.submit_nowait(TEXT)
        await pass_time(0.1)  # nobody listens
        successor = await dispatcher.replace(epoch=2)
        successor.finish(accepted.id)
        began_s = asyncio.get_running_loop().time()
        await successor.present()
        await unanswered.accepted()
        assert await accepted.result() is None
        assert asyncio.get_running_loop().time() - began_s < 0.1
        await successor.stop()

    with_mesh(scenario)


def test_a_reconnect_repeats_at_once_what_may_be_lost() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        accepted = await client.submit(TEXT)
        cluster.kill_server()
        unanswered = client.submit_nowait(TEXT)
        dispatcher.finish(accepted.id)
        await pass_time(0.3)
        cluster.start_server()
        restored_s = asyncio.get_running_loop().time()
        await unanswered.accepted()
        assert await accepted.result() is None
        assert asyncio.get_running_loop().time() - restored_s < 0.5

    with_mesh(scenario)


def test_a_task_of_others_is_watched_to_its_end() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = await client.submit(TEXT)
        other = await start_client(cluster, seed=2)
        one, two = await other.watch(handle.id), await other.watch(handle.id)
        waiting = [asyncio.create_task(one.result()), asyncio.create_task(two.result())]
        await pass_time(0.1)
        dispatcher.finish(handle.id)
        assert await asyncio.gather(*waiting) == [None, None]
        assert await (await other.watch(handle.id)).result() is None
        await other.close()

    with_mesh(scenario)


def test_watching_many_tasks_of_others_leaves_nothing_behind() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handles = [client.submit_nowait(TEXT) for _ in range(300)]
        await asyncio.gather(*(handle.accepted() for handle in handles))
        other = await start_client(cluster, seed=2)
        foreign = await other.watch_many([handle.id for handle in handles])
        assert len(foreign) == 300
        with pytest.raises(ResultTimeout):
            await foreign[handles[0].id].result(0.5)
        foreign.clear()
        assert (other.statistics().tracked, other.statistics().awaited) == (0, 0)
        await other.close()

    with_mesh(scenario)


def test_an_unknown_id_is_said_to_be_unknown() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        with pytest.raises(UnknownTask, match="NEVERWAS"):
            await client.watch("NEVERWAS")
        handle = await client.submit(TEXT)
        del dispatcher.tasks[handle.id]
        with pytest.raises(UnknownTask, match=handle.id):
            await handle.result()

    with_mesh(scenario)


def test_a_waiter_that_is_cancelled_disturbs_no_other() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = await client.submit(TEXT)
        impatient, patient = asyncio.create_task(handle.result()), asyncio.create_task(handle.result())
        await pass_time(0.1)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        assert client.statistics().awaited == 1
        dispatcher.finish(handle.id)
        assert await patient is None
        assert client.statistics().awaited == 0

    with_mesh(scenario)


def test_a_waiter_that_gives_up_leaves_nothing_behind() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = await client.submit(TEXT)
        with pytest.raises(ResultTimeout):
            await handle.result(0.2)
        assert client.statistics().awaited == 0

    with_mesh(scenario)


def test_beyond_the_bound_ends_are_heard_by_asking() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handles = [client.submit_nowait(TEXT) for _ in range(50)]
        await asyncio.gather(*(handle.accepted() for handle in handles))
        assert client.statistics().tracked <= 10
        for handle in handles:
            dispatcher.finish(handle.id)
        assert await asyncio.gather(*(handle.result() for handle in handles)) == [None] * 50

    with_mesh(scenario, ClientConfig(tracked_tasks=10))


def test_closing_frees_whoever_awaits_a_result() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        await dispatcher.start()
        client = await start_client(cluster)
        handle = await client.submit(TEXT)
        waiting = asyncio.create_task(handle.result())
        await pass_time(0.1)
        await client.close()
        with pytest.raises(MeshUnreachable, match="it goes on"):
            await waiting

    run_virtual(main)


def test_a_frame_that_cannot_be_read_is_counted_and_said() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine = cluster.connect("stranger")
        notices = Notices()
        client = await start_client(cluster, notice=notices)
        send(engine, SUBJECTS.client(client.name), b"not a frame")
        await eventually(lambda: client.statistics().undecodable == 1, what="the frame")
        assert "cannot be read" in notices[0]
        await client.close()

    run_virtual(main)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (TaskState.FAILED, TaskFailed),
        (TaskState.DEAD, TaskFailed),
        (TaskState.TIMED_OUT, TaskTimedOut),
        (TaskState.CANCELLED, TaskCancelled),
    ],
)
def test_an_end_without_value_raises_with_the_reason_and_the_remote_traceback(
    state: TaskState, error: type[Exception]
) -> None:
    lines = "\n".join(f"line {number}" for number in range(100))
    failure = None if state is TaskState.CANCELLED else TaskFailure("ValueError", "boom", lines)
    with pytest.raises(error) as caught:
        value_of(TaskResult("01TASK", state, b"", failure, 4))
    text = str(caught.value)
    assert "01TASK" in text
    if failure is not None:
        assert "ValueError: boom" in text
        assert "4 attempts" in text
        assert text.endswith("line 99")
        assert "line 50" not in text
        assert getattr(caught.value, "traceback") == lines  # noqa: B009


def test_cancelling_accounts_for_every_id() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        queued, ended = await client.submit(TEXT), await client.submit(TEXT)
        dispatcher.finish(ended.id)
        await ended.result()
        answer = await client.cancel([queued.id, ended.id, "NEVERWAS", queued.id])
        assert (answer.cancelled, answer.too_late, answer.unknown) == ([queued.id], [ended.id], ["NEVERWAS"])

    with_mesh(scenario)


def test_cancelling_is_repeated_until_it_is_answered() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = await client.submit(TEXT)
        dispatcher.drop_frames = 2
        answer, again = await asyncio.gather(client.cancel([handle.id]), client.cancel([handle.id]))
        assert answer.cancelled == again.cancelled == [handle.id]
        dispatcher.is_silent = True
        with pytest.raises(MeshUnreachable, match="1 of 1 tasks"):
            await client.cancel([handle.id], timeout_s=3.0)

    with_mesh(scenario)
