"""The dispatcher: what it decides is heard when it is in the log, and whoever comes after it goes on from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from ohmesh.engines.memory.faults import CallFate, CallFaults, EngineFaults
from ohmesh.errors import Fenced, PayloadTooLarge, SubmissionTooOld
from ohmesh.model.agent import AgentSpec
from ohmesh.model.frame import decode_reply, encode_frame
from ohmesh.model.message import (
    Accepted,
    Describe,
    Enquire,
    HostReport,
    ListHosts,
    ListTasks,
    Problem,
    ShardDescription,
    Submit,
    TaskPage,
    Watch,
)
from ohmesh.protocols.queue.rows import EpochStarted, Failed, Submitted
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.roles.dispatcher import DispatcherConfig
from ohmesh.simulator.process import Condition
from ohmesh.simulator.world import World, run
from tests.unit.protocols.queue.shard_driver import submission
from tests.unit.roles.served_shard import OPTIONS, SUBJECTS, ServedShard
from tests.waiting import eventually

Story = Callable[[ServedShard], Coroutine[None, None, None]]


def served(story: Story, *, config: DispatcherConfig | None = None) -> None:
    """Tell the story with one dispatcher, `first`, of term 1 in charge."""

    async def main(world: World) -> None:
        shard = ServedShard(world, config)
        await shard.open()
        shard.start("first", 1)
        await eventually(lambda: Enquire(0, 1) in shard.sent, what="the dispatcher asks the hosts")
        await story(shard)

    run(main, seed=1, options=OPTIONS)


def has_lost(shard: ServedShard) -> bool:
    """Whether a lease was ended because its host was silent."""
    return any(isinstance(row, Failed) and row.lost for row in shard.rows())


def test_a_task_goes_from_a_client_to_a_host_and_back() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("t")
        await shard.succeed(*await shard.granted("t"))
        await eventually(lambda: shard.finished() == ["t"], what="the client hears the end")

    served(story)


def test_nobody_hears_anything_before_it_is_in_the_log() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await asyncio.sleep(0.1)
        shard.world.cluster.script_appends(CallFate.LOSE_REQUEST)
        await shard.say(Submit("client", [submission("t")]))
        await asyncio.sleep(1.9)
        assert shard.accepted() == []
        assert shard.grants() == []
        await shard.granted("t")
        assert shard.accepted() == ["t"]

    served(story)


@pytest.mark.parametrize("fate", list(CallFate))
def test_whatever_becomes_of_an_append_each_task_is_taken_and_done_once(fate: CallFate) -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        for number in range(5):
            shard.world.cluster.script_appends(fate)
            await shard.submit(f"t{number}")
            await shard.succeed(*await shard.granted(f"t{number}"))
        await eventually(lambda: len(shard.finished()) == 5, what="all ends are heard")
        await asyncio.sleep(10)
        submitted = [row for row in shard.rows() if isinstance(row, Submitted)]
        assert sum(len(row.tasks) for row in submitted) == 5

    served(story)


def test_a_successor_goes_on_where_its_predecessor_was_killed() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("running", "waiting")
        (running, _) = await shard.granted("running", "waiting")
        shard.world.crash("first")
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2, held=[running.lease])
        await eventually(lambda: shard.grants(epoch=2), what="what never arrived is granted again")
        (again,) = shard.grants(epoch=2)
        assert (again.task_id, again.attempt) == ("waiting", 1)
        await shard.say(Watch("client", ["running", "waiting"]))
        await shard.succeed(running, again)
        await eventually(lambda: sorted(shard.finished()) == ["running", "waiting"], what="both end")

    served(story)


def test_a_replaced_dispatcher_ends_and_can_tell_nobody_anything() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("before")
        (grant,) = await shard.granted("before")
        shard.world.pause("first")
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")
        await shard.report(2, held=[grant.lease])
        shard.world.resume("first")
        await shard.say(Submit("client", [submission("after")]))
        process = shard.world.processes["first"]
        await eventually(lambda: process.condition is Condition.ENDED, what="the old one ends")
        assert isinstance(process.failure, Fenced)
        await shard.granted("after")
        assert {grant.task_id for grant in shard.grants(epoch=1)} == {"before"}
        assert [frame.epoch for frame in shard.frames()] == sorted(frame.epoch for frame in shard.frames())

    served(story)


def test_an_older_term_never_takes_over_from_a_newer_one() -> None:
    async def story(shard: ServedShard) -> None:
        shard.world.crash("first")
        for name, term in (("newer", 7), ("older", 6), ("same", 7)):
            shard.start(name, term)
            await asyncio.sleep(1)
        assert shard.world.processes["newer"].is_alive
        for name in ("older", "same"):
            assert isinstance(shard.world.processes[name].failure, Fenced)

    served(story)


def test_a_successor_reads_again_until_its_epoch_is_accepted() -> None:
    """Its predecessor still writes, once between its reading and its appending; nothing of that is lost."""

    async def story(shard: ServedShard) -> None:
        await shard.submit("before")
        shard.world.cluster.set_faults(EngineFaults(append=CallFaults(delay_ms=(100.0, 100.0))))
        shard.start("second", 2)
        await shard.say(Submit("client", [submission("between")]))
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor has begun")
        await shard.report(2)
        await shard.granted("before", "between")
        epochs = [(frame.epoch, type(frame.rows[0])) for frame in shard.frames()]
        assert epochs[:4] == [(1, EpochStarted), (1, Submitted), (1, Submitted), (2, EpochStarted)]

    served(story)


def test_a_dispatcher_that_is_told_of_a_later_one_asks_the_log_and_goes_on() -> None:
    """The log is the fence, not a word of a host, which may remember another mesh."""

    async def story(shard: ServedShard) -> None:
        await shard.report(9)
        await eventually(lambda: Enquire(0, 1, instead_of=9) in shard.sent, what="the host is told")
        await shard.report(1)
        await shard.submit("t")
        await shard.granted("t")
        assert shard.world.processes["first"].condition is not Condition.ENDED

    served(story)


def test_a_dispatcher_that_is_cancelled_in_an_append_leaves_a_shard_that_can_be_taken_over() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.submit("before")
        shard.world.cluster.script_appends(CallFate.LOSE_ACK)
        await shard.say(Submit("client", [submission("in-doubt")]))
        await asyncio.sleep(0.5)
        await shard.world.stop("first")
        assert shard.accepted() == ["before"]
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor has begun")
        await shard.submit("in-doubt")
        await shard.report(2)
        assert len(await shard.granted("before", "in-doubt")) == 2

    served(story)


def test_while_the_engine_is_away_nobody_counts_as_silent() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("t")
        (grant,) = await shard.granted("t")
        shard.world.cluster.kill_server()
        await asyncio.sleep(60)
        shard.world.cluster.start_server()
        await asyncio.sleep(5)
        await shard.succeed(grant)
        await eventually(lambda: shard.finished() == ["t"], what="its first attempt counts")
        assert len(shard.grants()) == 1

    served(story)


def test_a_dispatcher_that_stood_still_does_not_count_that_as_a_silence_of_hosts() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("t")
        await shard.granted("t")
        shard.world.pause("first")
        await asyncio.sleep(60)
        shard.world.resume("first")
        await asyncio.sleep(5)
        assert not has_lost(shard)
        await asyncio.sleep(10)
        assert has_lost(shard)

    served(story)


@pytest.mark.parametrize("leap_ms", [3_600_000, -3_600_000])
def test_a_wall_clock_that_leaps_ends_no_lease_and_stops_no_retry(leap_ms: int) -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1, lease_ms=10_000)
        await shard.submit("t")
        await shard.granted("t")
        shard.world.processes["first"].clock.step(leap_ms)
        await asyncio.sleep(4)
        assert not has_lost(shard)
        await asyncio.sleep(20)
        await shard.report(1)
        await eventually(lambda: len(shard.grants()) == 2, what="silence is noticed all the same")

    served(story)


def test_a_client_without_a_name_that_can_be_addressed_harms_nobody() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.say(Submit("no * subject", [submission("a")]), Watch("", ["b"]))
        await shard.submit("t")
        assert shard.dispatchers["first"].statistics.messages_undeliverable == 2

    served(story)


def test_bytes_that_are_no_frame_harm_nobody() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.outside.bus.publish(SUBJECTS.dispatcher(0), b"garbage")
        await shard.submit("t")
        assert shard.dispatchers["first"].statistics.frames_refused == 1

    served(story)


def test_thousands_of_refusals_are_told_in_messages_that_can_be_sent() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.submit("t")
        for part in range(4):
            await shard.say(Submit("client", [submission(f"r{part}-{number}") for number in range(3_000)]))
        await eventually(
            lambda: sum(len(body.refused) for body in shard.told if isinstance(body, Accepted)) == 12_000,
            what="every refusal is heard",
        )

    served(story, config=DispatcherConfig(shard=ShardConfig(depth_tasks=1)))


def test_results_that_are_large_together_are_heard_all() -> None:
    async def story(shard: ServedShard) -> None:
        names = [f"t{number}" for number in range(12)]
        await shard.report(1)
        await shard.submit(*names)
        for grant in await shard.granted(*names):
            await shard.succeed(grant, value=b"x" * 400_000)
        await eventually(lambda: len(shard.finished()) == 12, what="all ends are heard")
        await shard.say(Watch("client", names))
        await eventually(lambda: len(shard.finished()) == 24, what="and again when asked")
        question = encode_frame("asker", 1, 1, [ListTasks()])
        reply = await shard.outside.bus.request(SUBJECTS.dispatcher(0), question, timeout_s=2.0)
        (page,) = decode_reply(reply).bodies
        assert isinstance(page, TaskPage)
        assert page.after

    served(story)


async def ask(shard: ServedShard, question: Describe | ListTasks | ListHosts) -> object:
    data = encode_frame("asker", 1, 1, [question])
    reply = await shard.outside.bus.request(SUBJECTS.dispatcher(0), data, timeout_s=2.0)
    return decode_reply(reply).bodies[0]


def test_questions_are_answered_or_told_what_is_wrong_with_them() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.submit("t")
        described = await ask(shard, Describe())
        assert isinstance(described, ShardDescription)
        assert described.depth == {"kind": (1, 0, 0)}
        assert isinstance(await ask(shard, ListTasks(after="nonsense")), Problem)
        reply = await shard.outside.bus.request(SUBJECTS.dispatcher(0), b"garbage", timeout_s=2.0)
        assert isinstance(decode_reply(reply).bodies[0], Problem)

    served(story)


def test_forgotten_ids_stay_refused_after_a_takeover() -> None:
    async def story(shard: ServedShard) -> None:
        await shard.report(1)
        await shard.submit("t")
        await shard.succeed(*await shard.granted("t"))
        await asyncio.sleep(3)
        shard.world.crash("first")
        shard.start("second", 2)
        await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor has begun")
        await shard.say(Submit("client", [submission("t")]))
        await eventually(
            lambda: (
                [
                    refusal.code
                    for body in shard.told
                    if isinstance(body, Accepted)
                    for refusal in body.refused
                ]
                == [SubmissionTooOld.code]
            ),
            what="the late retry is refused",
        )

    served(story, config=DispatcherConfig(shard=ShardConfig(retention_ms=1_000)))


def test_an_answer_that_fits_no_message_is_a_problem_and_harms_nobody() -> None:
    async def story(shard: ServedShard) -> None:
        for host in ("a", "b", "c"):
            specs = [AgentSpec(f"{host}/{number}", "kind", ("c" * 900,)) for number in range(450)]
            await shard.say(HostReport(host, 1, 1, 0, specs, []))
        await shard.submit("t")
        answer = await ask(shard, ListHosts())
        assert isinstance(answer, Problem)
        assert answer.code == PayloadTooLarge.code

    served(story)
