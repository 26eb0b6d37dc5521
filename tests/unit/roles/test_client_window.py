"""Windows, frames and closing: what may be under way, who waits for room, what is left at the end."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import (
    Backpressure,
    MeshUnreachable,
)
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_handle import Standing
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import (
    TEXT,
    Notices,
    ScriptedDispatcher,
    assert_nothing_is_left,
    start_client,
    with_mesh,
)
from tests.waiting import eventually


def test_a_full_window_refuses_at_once_and_makes_submit_wait() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        large = TaskRequest(kind="text", payload=bytes(400))
        handles = [client.submit_nowait(large), client.submit_nowait(large)]
        with pytest.raises(Backpressure) as caught:
            client.submit_nowait(large)
        assert caught.value.retry_after_ms > 0
        waiting = asyncio.create_task(client.submit(large))
        with pytest.raises(Backpressure, match="unanswered"):
            await client.submit(large, timeout_s=0.2)
        assert not waiting.done()
        dispatcher.is_silent = False
        await waiting
        await asyncio.gather(*(handle.accepted() for handle in handles))

    with_mesh(scenario, ClientConfig(window_bytes=1_100))


def test_room_is_given_in_the_order_of_asking() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        requests = [TaskRequest(kind="text", payload=bytes([number]) * 400) for number in range(20)]
        await asyncio.gather(*(client.submit(request) for request in requests))
        assert [submission.payload[0] for submission in dispatcher.submissions] == list(range(20))

    with_mesh(scenario, ClientConfig(window_bytes=1_100))


def test_too_many_callers_waiting_for_room_are_refused() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        client.submit_nowait(TaskRequest(kind="text", payload=bytes(900)))
        waiting = asyncio.create_task(client.submit(TEXT, timeout_s=5.0))
        await asyncio.sleep(0)
        with pytest.raises(Backpressure):
            await client.submit(TEXT, timeout_s=0.01)
        dispatcher.is_silent = False
        await waiting

    with_mesh(scenario, ClientConfig(window_bytes=1_000, waiting_callers=1))


def test_a_caller_that_is_cancelled_leaves_nothing_behind() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        sent = asyncio.create_task(client.submit(TaskRequest(kind="text", payload=bytes(900))))
        await eventually(lambda: dispatcher.frames, what="the frame")
        waiting = asyncio.create_task(client.submit(TEXT))
        await asyncio.sleep(0)
        waiting.cancel()
        sent.cancel()
        await asyncio.gather(sent, waiting, return_exceptions=True)
        assert sent.cancelled()
        assert waiting.cancelled()
        assert_nothing_is_left(client)
        assert client.statistics().tracked == 0
        dispatcher.is_silent = False
        await client.submit(TEXT)

    with_mesh(scenario, ClientConfig(window_bytes=1_000))


def test_one_caller_that_gives_up_does_not_withdraw_the_task_of_another() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        keyed = TaskRequest(kind="text", payload=b"\x92\x90\x80", key="order-7")
        patient = asyncio.create_task(client.submit(keyed))
        with pytest.raises(MeshUnreachable):
            await client.submit(keyed, timeout_s=0.5)
        dispatcher.is_silent = False
        handle = await patient
        assert handle.standing is Standing.ACCEPTED

    with_mesh(scenario)


def test_frames_fill_and_never_grow_too_large() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handles = [
            client.submit_nowait(TaskRequest(kind="text", payload=bytes(size)))
            for size in (200_000, 500_000, 300_000, 512_000, 1, 512_000)
        ]
        await asyncio.gather(*(handle.accepted() for handle in handles))
        sizes = [len(frame.data) for frame in dispatcher.frames]
        assert max(sizes) <= client.config.frame_bytes
        assert len(sizes) == 3
        assert [submission.task_id for submission in dispatcher.submissions] == [
            handle.id for handle in handles
        ]

    with_mesh(scenario)


def test_closing_names_what_nobody_acknowledged() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        await dispatcher.start()
        dispatcher.is_silent = True
        notices = Notices()
        client = await start_client(cluster, notice=notices)
        handles = [client.submit_nowait(TEXT) for _ in range(7)]
        with pytest.raises(MeshUnreachable, match=f"7 submissions .*{handles[0].id}.* and 2 more"):
            await client.close()
        assert handles[0].id in notices[0]
        assert {handle.standing for handle in handles} == {Standing.UNREACHABLE}
        assert_nothing_is_left(client)
        with pytest.raises(MeshUnreachable, match="closed"):
            client.submit_nowait(TEXT)
        await client.close()

    run_virtual(main)


def test_closing_waits_a_little_for_what_is_on_its_way() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        await dispatcher.start()
        client = await start_client(cluster)
        handle = client.submit_nowait(TEXT)
        await client.close()
        assert handle.standing is Standing.ACCEPTED

    run_virtual(main)
