"""A present dispatcher, and the frames of an older worker and an older client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ohmesh.model.envelope import item_id, join
from ohmesh.model.explanation import Explain
from ohmesh.model.frame import decode_progress, decode_reply, decode_to_dispatcher, decode_to_host
from ohmesh.model.message import (
    Accepted,
    Cancel,
    ChangeTasks,
    Describe,
    Finished,
    Grants,
    HostReport,
    ListHosts,
    ListTasks,
    Outcomes,
    PauseKind,
    Problem,
    Submit,
    TasksChanged,
    Watch,
)
from ohmesh.model.task import Grant, OutcomeStatus, Submission, TaskState
from ohmesh.ports.bus import Message
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.roles.dispatcher import DispatcherConfig
from ohmesh.simulator.world import World, run
from tests.unit.older_versions.transcript import FROM_CLIENT, FROM_WORKER, OLDER, of_type, renamed
from tests.unit.roles.served_shard import SUBJECTS, ServedShard
from tests.waiting import eventually

REPORT, REPORTED = of_type(FROM_WORKER, decode_to_dispatcher, HostReport)[0]
OUTCOMES = of_type(FROM_WORKER, decode_to_dispatcher, Outcomes)
SUBMITS = of_type(FROM_CLIENT, decode_to_dispatcher, Submit)
QUESTIONS = (ListTasks, ListHosts, Describe, Explain, ChangeTasks, PauseKind)
EPOCH = REPORTED.epoch
CONFIG = DispatcherConfig(shard=ShardConfig(lease_ms=10_000, payload_bytes=1_000))


class OlderPeople(ServedShard):
    """A present dispatcher, with the older worker and client around it."""

    async def meet(self) -> None:
        await self.open()
        await self.outside.bus.subscribe(SUBJECTS.client(SUBMITS[0][1].client), self._hear_client)
        await self.outside.bus.subscribe(SUBJECTS.host(REPORTED.host), self._hear_host)
        self.start("node", EPOCH)
        await eventually(lambda: self.sent, what="the dispatcher asks who is there")

    async def repeat(self, data: bytes) -> None:
        await self.outside.bus.publish(SUBJECTS.dispatcher(0), data)

    async def work(self) -> None:
        """The worker has all slots that it had, and answers each grant in the bytes of its time."""
        answered: set[int] = set()
        ended, _ = next(pair for pair in OUTCOMES if len(pair[1].outcomes) == 1 and is_success(pair[1]))
        (old,) = decode_to_dispatcher(ended).bodies
        assert isinstance(old, Outcomes)
        (outcome,) = old.outcomes

        def has_new() -> bool:
            return any(grant.lease not in answered for grant in self.grants())

        while self.waiting():
            await eventually(has_new, what="the older worker is granted what waits")
            for grant in self.grants():
                if grant.lease not in answered:
                    answered.add(grant.lease)
                    names = {outcome.lease: grant.lease, outcome.task_id: grant.task_id}
                    await self.repeat(renamed(ended, names))
            await eventually(
                lambda: answered_tasks(self.grants(), answered) <= set(self.finished()), what="it is settled"
            )

    def waiting(self) -> set[str]:
        return set(self.accepted()) - set(self.finished())


def is_success(body: Outcomes) -> bool:
    return all(outcome.status is OutcomeStatus.SUCCEEDED for outcome in body.outcomes)


def answered_tasks(grants: list[Grant], leases: set[int]) -> set[str]:
    return {grant.task_id for grant in grants if grant.lease in leases}


def with_older_people(scenario: Callable[[OlderPeople], Awaitable[None]]) -> None:
    async def main(world: World) -> None:
        people = OlderPeople(world, CONFIG)
        await people.meet()
        await scenario(people)
        world.check_failures()

    run(main, seed=1)


def test_these_frames_are_of_an_older_version() -> None:
    """They lack fields that have been added since; what they lack has the value that means: as before."""
    raw = msgspec.msgpack.decode(REPORT)
    assert len(raw[-1][0]) - 1 < len(HostReport.__struct_fields__)
    assert not REPORTED.takes_envelopes
    submission = msgspec.msgpack.decode(SUBMITS[0][0])[-1][0][2][0]
    assert len(submission) < len(Submission.__struct_fields__)
    assert (SUBMITS[0][1].tasks[0].items, SUBMITS[0][1].tasks[0].unique) == (0, "")


def test_every_frame_is_read_as_what_it_was_and_says_the_same_again() -> None:
    for data in FROM_WORKER + FROM_CLIENT:
        assert renamed(data, {}) == data
        assert decode_to_dispatcher(data).bodies
    for data in OLDER.frames("worker", ".p."):
        (progress,) = decode_progress(data).bodies
        assert (progress.total, progress.note) == (2, "simulated")
    kinds = {type(decode_to_dispatcher(data).bodies[0]) for data in FROM_CLIENT}
    assert kinds == {Submit, Watch, Cancel, *QUESTIONS}


def test_an_older_client_hands_in_and_an_older_worker_does_it() -> None:
    async def scenario(people: OlderPeople) -> None:
        await people.repeat(REPORT)
        wanted: set[str] = set()
        refused: set[str] = set()
        for data, body in SUBMITS:
            for task in body.tasks:
                (refused if len(task.payload) > 1_000 else wanted).add(task.task_id)
            if not any(task.due_ms for task in body.tasks):
                await people.repeat(data)
            else:
                wanted -= {task.task_id for task in body.tasks}
        await eventually(lambda: wanted <= set(people.accepted()), what="all of it is accepted")
        await people.work()
        assert set(people.finished()) == wanted
        told = [body for body in people.told if isinstance(body, Accepted)]
        assert {each.task_id for body in told for each in body.refused} == refused

    with_older_people(scenario)


def test_a_failure_that_an_older_worker_reports_counts() -> None:
    failed, body = next(pair for pair in OUTCOMES if not is_success(pair[1]) and len(pair[1].outcomes) == 1)
    (outcome,) = body.outcomes
    assert outcome.status is OutcomeStatus.FAILED_PERMANENTLY

    async def scenario(people: OlderPeople) -> None:
        await people.repeat(REPORT)
        await people.submit("t")
        (grant,) = await people.granted("t")
        await people.repeat(renamed(failed, {outcome.lease: grant.lease, outcome.task_id: "t"}))
        await eventually(people.finished, what="it has ended")
        (ended,) = [each for said in people.told if isinstance(said, Finished) for each in said.results]
        assert (ended.state, ended.failure) == (TaskState.FAILED, outcome.failure)

    with_older_people(scenario)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_every_question_of_an_older_client_is_answered(kind: type) -> None:
    async def scenario(people: OlderPeople) -> None:
        for data, _ in of_type(FROM_CLIENT, decode_to_dispatcher, kind):
            answer = await people.outside.bus.request(SUBJECTS.dispatcher(0), data, timeout_s=5.0)
            (body,) = decode_reply(answer).bodies
            assert not isinstance(body, Problem), body
            assert isinstance(body, TasksChanged) or kind is not ChangeTasks

    with_older_people(scenario)


def test_an_older_client_hears_what_became_of_what_it_cancels_and_watches() -> None:
    (submitted, body), (cancel, cancelled) = SUBMITS[0], of_type(FROM_CLIENT, decode_to_dispatcher, Cancel)[0]
    watch, watched = of_type(FROM_CLIENT, decode_to_dispatcher, Watch)[0]
    (task,) = body.tasks

    async def scenario(people: OlderPeople) -> None:
        await people.repeat(submitted)
        await eventually(people.accepted, what="it is accepted")
        await people.repeat(renamed(cancel, {cancelled.task_ids[0]: task.task_id}))
        await eventually(lambda: task.task_id in people.finished(), what="it is cancelled")
        before = len(people.finished())
        await people.repeat(renamed(watch, {watched.task_ids[0]: task.task_id}))
        await eventually(lambda: len(people.finished()) > before, what="who watches is told again")

    with_older_people(scenario)


def test_an_older_worker_never_gets_an_envelope() -> None:
    payloads = [b"\xa1%d" % number for number in range(6)]
    whole = Submission("e", "kind", join(payloads, len(payloads)), items=len(payloads))

    async def scenario(people: OlderPeople) -> None:
        frames: list[bytes] = []

        def hear(message: Message) -> None:
            frames.append(message.data)

        await people.outside.bus.subscribe(SUBJECTS.host(REPORTED.host), hear)
        await people.repeat(REPORT)
        await people.say(Submit("client", [whole]))
        await eventually(people.grants, what="the older worker is granted items")
        items = {item_id("e", index) for index in range(len(payloads))}
        given = [
            grant
            for data in frames
            for body in decode_to_host(data).bodies
            if isinstance(body, Grants)
            for grant in body.grants
        ]
        assert len(given) == REPORTED.agents[0].slots
        assert {grant.task_id for grant in given} < items
        assert {grant.payload for grant in given} < set(payloads)
        assert not any(grant.items for grant in given)

    with_older_people(scenario)
