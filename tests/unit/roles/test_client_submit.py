"""Submitting: whatever is lost, repeated or refused on the way, each submission gets one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import (
    Backpressure,
    InvalidArgument,
    MeshError,
    MeshUnreachable,
    PayloadTooLarge,
    SubmissionTooOld,
)
from ohmesh.model.message import Refusal
from ohmesh.model.subject import shard_of
from ohmesh.model.task import Submission, TaskState
from ohmesh.roles.client import Client, TaskRequest, id_of_key
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_handle import Standing
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import SUBJECTS, Notices, ScriptedDispatcher, send, start_client
from tests.waiting import eventually

TEXT = TaskRequest(kind="text", payload=b"\x92\x90\x80")


def with_mesh(
    scenario: Callable[[Client, ScriptedDispatcher, MemoryCluster], Awaitable[None]],
    config: ClientConfig | None = None,
) -> None:
    """Run `scenario` in virtual time with a client and a dispatcher of one shard."""

    async def main() -> None:
        cluster = MemoryCluster()
        dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        await dispatcher.start()
        client = await start_client(cluster, config=config)
        await scenario(client, dispatcher, cluster)
        await client.close()
        assert_nothing_is_left(client)

    run_virtual(main)


def assert_nothing_is_left(client: Client) -> None:
    statistics = client.statistics()
    assert (statistics.unanswered, statistics.unanswered_bytes, statistics.awaited) == (0, 0, 0)


def test_a_submission_is_acknowledged_when_it_is_durable() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        handle = client.submit_nowait(TEXT)
        states = [handle.state]
        await handle.accepted()
        assert [*states, handle.state] == [TaskState.SUBMITTED, TaskState.QUEUED]
        assert dispatcher.tasks[handle.id].payload == TEXT.payload

    with_mesh(scenario)


def test_a_lost_frame_is_sent_again_with_the_same_id_and_time() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.drop_frames = 2
        handle = await client.submit(TEXT)
        assert client.statistics().resent == 2
        assert list(dispatcher.tasks) == [handle.id]

    with_mesh(scenario)


def test_a_lost_acknowledgement_leads_to_one_task() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.drop_accepted = 1
        handle = await client.submit(TEXT)
        first, second = dispatcher.submissions
        assert first == second
        assert (client.statistics().accepted, handle.standing) == (1, Standing.ACCEPTED)

    with_mesh(scenario)


def test_a_repeated_acknowledgement_counts_once() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.repeat_accepted = 3
        await client.submit(TEXT)
        await eventually(lambda: client.statistics().stray == 3, what="three repeats")
        assert client.statistics().accepted == 1
        assert client.statistics().unanswered_bytes == 0

    with_mesh(scenario)


def test_an_end_that_overtakes_its_acknowledgement_answers_for_both() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.finishes = dispatcher.finish_first = True
        dispatcher.drop_accepted = 1
        handle = client.submit_nowait(TEXT)
        assert await handle.result() == [[], {}]
        await handle.accepted()
        assert client.statistics().accepted == 1

    with_mesh(scenario)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("invalid_argument", InvalidArgument),
        ("payload_too_large", PayloadTooLarge),
        ("submission_too_old", SubmissionTooOld),
        ("a_code_of_tomorrow", MeshError),
    ],
)
def test_a_refusal_raises_the_error_of_its_code(code: str, error: type[Exception]) -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.refuse = lambda submission: Refusal(submission.task_id, code, "Because.")
        with pytest.raises(error, match="Because"):
            await client.submit(TEXT)
        handle = client.submit_nowait(TEXT)
        with pytest.raises(error):
            await handle.result()
        assert handle.standing is Standing.REFUSED

    with_mesh(scenario)


def test_submit_tries_again_when_the_mesh_is_full_and_submit_nowait_tells() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        refusals = 3

        def refuse(submission: Submission) -> Refusal | None:
            nonlocal refusals
            refusals -= 1
            return Refusal(submission.task_id, "backpressure", "Full.", 200) if refusals >= 0 else None

        dispatcher.refuse = refuse
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await client.submit(TEXT)
        assert loop.time() - began_s >= 0.6
        assert len({submission.task_id for submission in dispatcher.submissions}) == 1
        refusals = 1
        with pytest.raises(Backpressure) as caught:
            await client.submit_nowait(TEXT).accepted()
        assert caught.value.retry_after_ms == 200

    with_mesh(scenario)


def test_submit_gives_up_at_its_timeout_while_the_mesh_stays_full() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.refuse = lambda submission: Refusal(submission.task_id, "backpressure", "Full.", 200)
        with pytest.raises(Backpressure, match="Full"):
            await client.submit(TEXT, timeout_s=1.0)

    with_mesh(scenario)


def test_nobody_answering_is_said_with_what_to_do() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        handle = client.submit_nowait(TEXT)
        with pytest.raises(MeshUnreachable, match="ohmesh doctor"):
            await client.submit(TEXT, timeout_s=0.5)
        with pytest.raises(MeshUnreachable, match="was sent"):
            await handle.accepted()
        assert asyncio.get_running_loop().time() == pytest.approx(30, abs=1)
        assert client.statistics().unreachable == 2

    with_mesh(scenario)


def test_an_answer_after_giving_up_changes_nothing() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.is_silent = True
        with pytest.raises(MeshUnreachable):
            await client.submit(TEXT, timeout_s=0.5)
        late = dispatcher.frames[-1]
        dispatcher.is_silent = False
        send(dispatcher.engine, SUBJECTS.dispatcher(0), late.data)
        await eventually(lambda: client.statistics().stray == 1, what="the late answer")
        assert (client.statistics().accepted, client.statistics().unreachable) == (0, 1)

    with_mesh(scenario)


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


def test_the_same_key_is_the_same_task_in_every_client() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        keyed = TaskRequest(kind="text", payload=b"\x92\x90\x80", key="order-7")
        other = await start_client(cluster, seed=2)
        first, again, elsewhere = (
            client.submit_nowait(keyed),
            client.submit_nowait(keyed),
            other.submit_nowait(keyed),
        )
        assert first is again
        assert first.id == elsewhere.id == id_of_key("test", "text", "order-7")
        await asyncio.gather(first.accepted(), elsewhere.accepted())
        await other.close()

    with_mesh(scenario)


def test_keys_do_not_run_together() -> None:
    ids = {
        id_of_key("m", "ab", "c"),
        id_of_key("m", "a", "bc"),
        id_of_key("m", "ab:c", ""),
        id_of_key("n", "ab", "c"),
    }
    assert len(ids) == 4
    assert all(len(one) == 26 for one in ids)


def test_what_is_refused_here_is_never_sent() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        with pytest.raises(InvalidArgument):
            client.submit_nowait(TaskRequest(kind="", payload=b""))
        with pytest.raises(PayloadTooLarge):
            client.submit_nowait(TaskRequest(kind="text", payload=bytes(512_001)))
        await client.submit(TEXT)
        assert len(dispatcher.submissions) == 1

    with_mesh(scenario)


def test_a_delay_is_counted_from_the_submission() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        await client.submit(
            TaskRequest(kind="text", payload=b"", delay_ms=5_000, timeout_ms=70, max_attempts=2)
        )
        (submission,) = dispatcher.submissions
        assert submission.due_ms - submission.created_ms == 5_000
        assert (submission.timeout_ms, submission.max_attempts) == (70, 2)

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


def test_ten_thousand_submissions_over_a_bad_network_are_all_accounted_for() -> None:
    async def scenario(client: Client, dispatcher: ScriptedDispatcher, cluster: MemoryCluster) -> None:
        dispatcher.finishes = True
        dispatcher.drop_frames, dispatcher.drop_accepted, dispatcher.drop_finished = 3, 3, 3
        dispatcher.repeat_accepted = 1
        handles = []
        for number in range(10_000):
            handles.append(
                client.submit_nowait(TaskRequest(kind="text", payload=b"\x93\x01\xcd" + number.to_bytes(2)))
            )
            if number % 500 == 0:
                await asyncio.sleep(0.01)
        ends = await asyncio.gather(*(handle.end() for handle in handles))
        assert [int.from_bytes(end.value[3:]) for end in ends] == list(range(10_000))
        assert len(dispatcher.tasks) == 10_000
        statistics = client.statistics()
        assert (statistics.submitted, statistics.accepted, statistics.finished) == (10_000, 10_000, 10_000)
        assert statistics.tracked == 0

    with_mesh(scenario)


def test_each_kind_goes_to_its_own_shard() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatchers = [ScriptedDispatcher(cluster.connect("dispatcher"), shard=shard) for shard in range(3)]
        for dispatcher in dispatchers:
            await dispatcher.start()
        client = await start_client(cluster, shards=3)
        kinds = [f"kind-{number}" for number in range(30)]
        await asyncio.gather(*(client.submit(TaskRequest(kind=kind, payload=b"")) for kind in kinds))
        for shard, dispatcher in enumerate(dispatchers):
            taken = sorted(submission.kind for submission in dispatcher.submissions)
            assert taken == sorted(kind for kind in kinds if shard_of(kind, 3) == shard)
        await client.close()

    run_virtual(main)


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
