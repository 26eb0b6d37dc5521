"""A present worker and a present client, and the frames of an older dispatcher."""

from __future__ import annotations

from typing import Any

import msgspec

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.explanation import Explain, Explanation
from ohmesh.model.frame import decode_reply, decode_to_client, decode_to_dispatcher, decode_to_host
from ohmesh.model.message import (
    Accepted,
    Cancel,
    CancelAnswer,
    ChangeTasks,
    Describe,
    Enquire,
    Finished,
    Grants,
    HostPage,
    KindState,
    ListHosts,
    ListTasks,
    PauseKind,
    Revoke,
    Settled,
    ShardDescription,
    Submit,
    TaskChange,
    TaskPage,
    TasksChanged,
    Watch,
)
from ohmesh.model.task import Grant, OutcomeStatus, TaskState
from ohmesh.ports.bus import Message
from ohmesh.simulator.run import run_virtual
from ohmesh.simulator.world import World, run
from tests.unit.older_versions.transcript import REPLIES, TO_CLIENT, TO_WORKER, of_type, renamed
from tests.unit.roles.lone_host import SUBJECTS as HOST_SUBJECTS
from tests.unit.roles.lone_host import LoneHost
from tests.unit.roles.scripted_dispatcher import SUBJECTS, TEXT, Notices, send, start_client
from tests.waiting import eventually

ANSWERS: dict[type[object], type[Any]] = {
    ListTasks: TaskPage,
    ListHosts: HostPage,
    Describe: ShardDescription,
    Explain: Explanation,
    ChangeTasks: TasksChanged,
    PauseKind: KindState,
}


def test_these_frames_are_of_an_older_version() -> None:
    grants, _ = of_type(TO_WORKER, decode_to_host, Grants)[0]
    assert len(msgspec.msgpack.decode(grants)[-1][0][4][0]) < len(Grant.__struct_fields__)
    accepted, _ = of_type(TO_CLIENT, decode_to_client, Accepted)[0]
    assert len(msgspec.msgpack.decode(accepted)[-1][0]) - 1 < len(Accepted.__struct_fields__)
    described, _ = of_type(REPLIES, decode_reply, ShardDescription)[0]
    assert len(msgspec.msgpack.decode(described)[-1][0]) - 1 < len(ShardDescription.__struct_fields__)


def test_a_present_worker_does_what_an_older_dispatcher_grants() -> None:
    enquire, _ = of_type(TO_WORKER, decode_to_host, Enquire)[0]
    granted, grants = of_type(TO_WORKER, decode_to_host, Grants)[0]
    settle, settled = of_type(TO_WORKER, decode_to_host, Settled)[0]
    (grant,) = grants.grants

    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open()
        await host.outside.bus.publish(HOST_SUBJECTS.every_host(), enquire)
        await eventually(lambda: host.reports()[-1].epoch == grants.epoch, what="it has heard of the epoch")
        await host.outside.bus.publish(HOST_SUBJECTS.host("host"), granted)
        await host.ended(grant.lease)
        (outcome,) = host.outcomes()[:1]
        assert (outcome.task_id, outcome.status) == (grant.task_id, OutcomeStatus.SUCCEEDED)
        assert outcome.value == grant.payload
        assert grant.lease in host.executor.held_leases(), "until it has the receipt"
        await host.outside.bus.publish(
            HOST_SUBJECTS.host("host"), renamed(settle, {settled.leases[0]: grant.lease})
        )
        await eventually(lambda: not host.executor.held_leases(), what="what is settled is kept no longer")

    run(main, seed=1)


def test_a_present_worker_stops_what_an_older_dispatcher_revokes() -> None:
    granted, grants = of_type(TO_WORKER, decode_to_host, Grants)[0]
    revoke, revoked = of_type(TO_WORKER, decode_to_host, Revoke)[0]
    (grant,) = grants.grants

    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open()
        await host.outside.bus.publish(
            HOST_SUBJECTS.host("host"), renamed(granted, {grant.task_id: "hang-for-ever"})
        )
        await eventually(host.executor.held_leases, what="it runs")
        await host.outside.bus.publish(
            HOST_SUBJECTS.host("host"), renamed(revoke, {revoked.leases[0]: grant.lease})
        )
        await host.ended(grant.lease)
        (outcome,) = host.outcomes()[:1]
        assert outcome.status is not OutcomeStatus.SUCCEEDED

    run(main, seed=1)


def test_a_present_client_understands_an_older_dispatcher() -> None:
    """Whatever it asks is answered by the bytes of then; only ids are put in."""
    accepted, acceptance = of_type(TO_CLIENT, decode_to_client, Accepted)[0]
    ends = of_type(TO_CLIENT, decode_to_client, Finished)
    finished, end = next(
        pair for pair in ends if len(pair[1].results) == 1 and pair[1].results[0].state is TaskState.SUCCEEDED
    )
    cancel_answer, cancelled = of_type(TO_CLIENT, decode_to_client, CancelAnswer)[0]

    async def main() -> None:
        cluster = MemoryCluster()
        engine = cluster.connect("older dispatcher")

        def answer(message: Message) -> None:
            names: dict[object, object]
            for body in decode_to_dispatcher(message.data).bodies:
                if isinstance(body, Submit):
                    (task,) = body.tasks
                    names = {acceptance.task_ids[0]: task.task_id}
                    send(engine, SUBJECTS.client(body.client), renamed(accepted, names))
                elif isinstance(body, Watch):
                    names = {end.results[0].task_id: body.task_ids[0]}
                    send(engine, SUBJECTS.client(body.client), renamed(finished, names))
                elif isinstance(body, Cancel):
                    names = {cancelled.cancelled[0]: body.task_ids[0]}
                    send(engine, SUBJECTS.client(body.client), renamed(cancel_answer, names))
                else:
                    reply, said = of_type(REPLIES, decode_reply, ANSWERS[type(body)])[0]
                    names = {}
                    if isinstance(body, ListTasks) and body.task_ids:
                        names = {said.tasks[0].task_id: body.task_ids[0]}
                    send(engine, message.reply, renamed(reply, names))

        await engine.bus.subscribe(SUBJECTS.dispatcher(0), answer)
        notices = Notices()
        client = await start_client(cluster, notice=notices)
        handle = await client.submit(TEXT)
        ended = await (await client.watch(handle.id)).end()
        assert (ended.state, ended.value) == (TaskState.SUCCEEDED, end.results[0].value)
        assert (await client.cancel([handle.id])).cancelled == [handle.id]

        requests = client.requests
        assert (await requests.list_tasks(ListTasks())).tasks
        assert [host.host for host in await requests.list_hosts()] == ["older-worker"]
        (description,) = await requests.describe()
        assert (description.owner, description.limits) == ("older-node", {})
        explained = await requests.explain(handle.id)
        assert explained is not None
        assert (explained.task is not None, explained.limit) == (True, None)
        wish = ChangeTasks(TaskChange.REPLAY, "wish", [handle.id])
        assert (await requests.change_tasks(0, wish)).done
        assert (await requests.pause_kind("kind", True)).kind == "kind"
        assert notices == []
        await client.close()

    run_virtual(main)


def test_every_frame_is_read_as_what_it_was() -> None:
    for data in TO_WORKER:
        assert decode_to_host(data).bodies
    for data in TO_CLIENT:
        assert decode_to_client(data).bodies
    answered = {type(decode_reply(data).bodies[0]) for data in REPLIES}
    assert answered == set(ANSWERS.values())
