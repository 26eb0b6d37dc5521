"""What is wished of a dispatcher about tasks that are there: answered once it is in the log, kept by successors."""

from __future__ import annotations

import asyncio
import itertools

from ohmesh.engines.memory.faults import CallFate
from ohmesh.model.frame import decode_reply, encode_frame
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import (
    ChangeTasks,
    Enquire,
    KindState,
    LimitKind,
    Outcomes,
    PauseKind,
    Problem,
    Reply,
    TaskChange,
    TasksChanged,
    ToDispatcher,
)
from ohmesh.model.task import Outcome, OutcomeStatus
from ohmesh.protocols.queue.rows import Granted, KindLimited, KindPaused, Requeued
from ohmesh.simulator.world import World
from tests.unit.roles.served_shard import SUBJECTS, ServedShard
from tests.unit.roles.test_dispatcher import served
from tests.waiting import eventually

REPLAY = ChangeTasks(TaskChange.REPLAY, "wish", ["t"])


async def ask(shard: ServedShard, body: ToDispatcher) -> Reply:
    frame = encode_frame("outside", 1, 1, [body])
    (reply,) = decode_reply(
        await shard.outside.bus.request(SUBJECTS.dispatcher(0), frame, timeout_s=10)
    ).bodies
    return reply


async def replace(shard: ServedShard, world: World) -> None:
    """The dispatcher dies and another one takes over."""
    world.crash("first")
    shard.start("second", 2)
    await eventually(lambda: Enquire(0, 2) in shard.sent, what="the successor asks the hosts")


async def bury(shard: ServedShard) -> None:
    """Task t is granted and fails for good."""
    await shard.report(1)
    await shard.submit("t")
    (grant,) = await shard.granted("t")
    await shard.say(Outcomes("host", 1, [Outcome(grant.lease, "t", OutcomeStatus.FAILED_PERMANENTLY)]))
    await eventually(lambda: shard.finished() == ["t"], what="it is dead")


def test_a_wish_is_answered_when_it_is_in_the_log_and_not_before() -> None:
    async def story(shard: ServedShard) -> None:
        await bury(shard)
        shard.world.cluster.script_appends(CallFate.LOSE_REQUEST)
        asking = asyncio.ensure_future(ask(shard, REPLAY))
        await asyncio.sleep(1.9)
        assert not asking.done()
        answer = await asking
        assert isinstance(answer, TasksChanged)
        assert answer.done == ["t"]
        assert [row.task_ids for row in shard.rows() if isinstance(row, Requeued)] == [["t"]]
        await eventually(lambda: len(shard.grants()) == 2, what="it runs again")

    served(story)


def test_a_wish_that_is_repeated_to_a_successor_is_one_run() -> None:
    async def story(shard: ServedShard) -> None:
        await bury(shard)
        await ask(shard, REPLAY)
        await eventually(lambda: len(shard.grants()) == 2, what="it runs again")
        await replace(shard, shard.world)
        answer = await ask(shard, REPLAY)
        assert isinstance(answer, TasksChanged)
        assert answer.done == ["t"]
        assert sum(isinstance(row, Requeued) for row in shard.rows()) == 1

    served(story)


def test_a_pause_outlives_its_dispatcher_and_ends_with_resume() -> None:
    async def story(shard: ServedShard) -> None:
        paused = await ask(shard, PauseKind("kind", True))
        assert isinstance(paused, KindState)
        assert paused.paused_ms
        await replace(shard, shard.world)
        assert await ask(shard, PauseKind("kind", True)) == paused
        await shard.report(2)
        await shard.submit("t")
        await asyncio.sleep(5)
        assert shard.grants() == []
        await ask(shard, PauseKind("kind", False))
        await shard.granted("t")
        assert [row.is_paused for row in shard.rows() if isinstance(row, KindPaused)] == [True, False]

    served(story)


def test_a_wish_that_cannot_be_meant_is_a_problem() -> None:
    async def story(shard: ServedShard) -> None:
        assert isinstance(await ask(shard, ChangeTasks(TaskChange.RETRY, "wish", everything=True)), Problem)
        assert isinstance(await ask(shard, PauseKind("", True)), Problem)

    served(story)


def test_a_limited_rate_wakes_the_dispatcher_when_it_allows_more() -> None:
    async def story(shard: ServedShard) -> None:
        limited = await ask(shard, LimitKind("kind", KindLimit(2, 1_000, 1)))
        assert isinstance(limited, KindState)
        await shard.report(1, slots=9)
        began_s = asyncio.get_running_loop().time()
        await shard.submit(*"abcd")
        await shard.granted(*"abcd")
        assert 1.4 < asyncio.get_running_loop().time() - began_s < 2.6
        starts = [row.at_ms for row in shard.rows() if isinstance(row, Granted)]
        assert all(later - earlier >= 500 for earlier, later in itertools.pairwise(starts))
        await replace(shard, shard.world)
        again = await ask(shard, LimitKind("kind", KindLimit(2, 1_000, 1)))
        assert isinstance(again, KindState)
        assert again.limit is not None
        assert sum(isinstance(row, KindLimited) for row in shard.rows()) == 1

    served(story)
