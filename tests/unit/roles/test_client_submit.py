"""Submitting: whatever is lost, repeated or refused on the way, each submission gets one answer."""

from __future__ import annotations

import asyncio

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
from ohmesh.roles.client_handle import Standing
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import (
    SUBJECTS,
    TEXT,
    ScriptedDispatcher,
    send,
    start_client,
    with_mesh,
)
from tests.unit.simulator.passing_time import pass_time
from tests.waiting import eventually


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
        for kind in ("", "two words", "with.dot", "-dash-first", "größe", "k" * 65):
            with pytest.raises(InvalidArgument):
                client.submit_nowait(TaskRequest(kind=kind, payload=b""))
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
                await pass_time(0.01)
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
