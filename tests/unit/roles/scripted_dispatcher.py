"""A dispatcher that does what a test tells it to: it answers on the real bus of the memory engine, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.model.frame import decode_to_dispatcher, encode_frame
from ohmesh.model.message import (
    Accepted,
    Cancel,
    CancelAnswer,
    Describe,
    Finished,
    HostPage,
    ListHosts,
    ListTasks,
    NewDispatcher,
    Refusal,
    Reply,
    ShardDescription,
    Submit,
    TaskPage,
    ToClient,
    Watch,
)
from ohmesh.model.subject import Subjects
from ohmesh.model.task import Submission, TaskResult, TaskState, TaskView
from ohmesh.ports.bus import Message, Subscription
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.run import run_virtual

SUBJECTS = Subjects("test")
NIL = b"\xc0"
TEXT = TaskRequest(kind="text", payload=b"\x92\x90\x80")


FILTERED_AT_A_TIME = 3


class ScriptedDispatcher:
    """Keeps what it accepts in `tasks` and `results`; the switches say what goes wrong.

    drop_frames: how many incoming frames are not heard. drop_accepted, drop_finished: how many answers are not sent.
    repeat_accepted: each is sent so many times more. finishes: whether a task ends at once. finish_first: Finished
    leaves before Accepted. refuse: looks at a submission and returns the refusal, if any.
    """

    def __init__(self, engine: MemoryEngine, *, shard: int = 0, epoch: int = 1) -> None:
        self.engine = engine
        self.shard = shard
        self.epoch = epoch
        self.tasks: dict[str, Submission] = {}
        self.results: dict[str, TaskResult] = {}
        self.interest: dict[str, str] = {}
        self.frames: list[Message] = []
        self.submissions: list[Submission] = []
        self.watched: list[str] = []
        self.page = TaskPage([])
        self.is_meant: Callable[[TaskView], bool] = lambda view: True
        self.hosts = HostPage([])
        self.drop_frames = 0
        self.drop_accepted = 0
        self.drop_finished = 0
        self.repeat_accepted = 0
        self.finishes = False
        self.unserved: list[str] = []
        self.finish_first = False
        self.is_silent = False
        self.refuse: Callable[[Submission], Refusal | None] = lambda submission: None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self.engine.bus.subscribe(SUBJECTS.dispatcher(self.shard), self._receive)

    async def present(self) -> None:
        """As a real one does once it listens."""
        frame = encode_frame("scripted", self.epoch, 0, [NewDispatcher(self.shard, self.epoch)])
        await self.engine.bus.publish(SUBJECTS.every_client(), frame)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def replace(self, *, epoch: int) -> ScriptedDispatcher:
        """A successor that knows the tasks, as the log does, and nothing of who wants to hear of them."""
        await self.stop()
        successor = ScriptedDispatcher(self.engine, shard=self.shard, epoch=epoch)
        successor.tasks, successor.results = self.tasks, self.results
        await successor.start()
        return successor

    def finish(self, task_id: str, state: TaskState = TaskState.SUCCEEDED, value: bytes = NIL) -> None:
        result = TaskResult(task_id, state, value, None, 1)
        self.results[task_id] = result
        if task_id in self.interest:
            self._tell(self.interest.pop(task_id), Finished([result]))

    def _receive(self, message: Message) -> None:
        if self.drop_frames:
            self.drop_frames -= 1
            return
        self.frames.append(message)
        if self.is_silent:
            return
        for body in decode_to_dispatcher(message.data).bodies:
            if isinstance(body, Submit):
                self._submit(body)
            elif isinstance(body, Watch):
                self._watch(body)
            elif isinstance(body, Cancel):
                self._cancel(body)
            elif isinstance(body, ListTasks | ListHosts | Describe):
                self._answer(message.reply, body)

    def _submit(self, message: Submit) -> None:
        accepted: list[str] = []
        refused: list[Refusal] = []
        for submission in message.tasks:
            self.submissions.append(submission)
            refusal = self.refuse(submission)
            if refusal is not None:
                refused.append(refusal)
                continue
            self.tasks.setdefault(submission.task_id, submission)
            self.interest[submission.task_id] = message.client
            accepted.append(submission.task_id)
            if self.finishes and submission.task_id not in self.results:
                self.results[submission.task_id] = TaskResult(
                    submission.task_id, TaskState.SUCCEEDED, submission.payload, None, 1
                )
        finished = [self.results[task_id] for task_id in accepted if task_id in self.results]
        if self.finish_first:
            self._tell_finished(message.client, finished)
        if self.drop_accepted:
            self.drop_accepted -= 1
        else:
            for _ in range(1 + self.repeat_accepted):
                self._tell(message.client, Accepted(accepted, refused, [], self.unserved))
        if not self.finish_first:
            self._tell_finished(message.client, finished)

    def _tell_finished(self, client: str, finished: list[TaskResult]) -> None:
        if not finished:
            return
        if self.drop_finished:
            self.drop_finished -= 1
            return
        self._tell(client, Finished(finished))

    def _watch(self, message: Watch) -> None:
        self.watched.extend(message.task_ids)
        ended = [self.results[task_id] for task_id in message.task_ids if task_id in self.results]
        unknown = [task_id for task_id in message.task_ids if task_id not in self.tasks]
        for task_id in message.task_ids:
            if task_id in self.tasks and task_id not in self.results:
                self.interest[task_id] = message.client
        if ended or unknown:
            self._tell(message.client, Finished(ended, unknown))

    def _cancel(self, message: Cancel) -> None:
        cancelled = [task_id for task_id in message.task_ids if task_id in self.tasks]
        unknown = [task_id for task_id in message.task_ids if task_id not in self.tasks]
        late = [task_id for task_id in cancelled if task_id in self.results]
        self._tell(
            message.client,
            CancelAnswer([task_id for task_id in cancelled if task_id not in late], late, unknown),
        )

    def _answer(self, reply: str, question: ListTasks | ListHosts | Describe) -> None:
        answer: Reply
        if isinstance(question, ListHosts):
            answer = self.hosts
        elif isinstance(question, Describe):
            answer = ShardDescription(self.shard, self.epoch, "scripted", 1, {}, {}, 0)
        elif question.task_ids:
            known = [self.tasks[task_id] for task_id in question.task_ids if task_id in self.tasks]
            answer = TaskPage([view_of(submission) for submission in known])
        else:
            answer = self._page_of(question)
        self._tell(reply, answer, is_client=False)

    def _page_of(self, question: ListTasks) -> TaskPage:
        """As the real one: newest first, the cursor is the order of the last shown, or looked at for a filter."""
        views = [view for view in self.page.tasks if not question.after or view.order < int(question.after)]
        if question.filter:
            looked_at = views[:FILTERED_AT_A_TIME]
            shown = [view for view in looked_at if self.is_meant(view)][: question.limit]
            last = shown[-1] if len(shown) == question.limit else looked_at[-1] if looked_at else None
            after = str(last.order) if last and last is not views[-1] else ""
            return TaskPage(shown, after, len(self.page.tasks))
        shown = views[: question.limit]
        after = str(shown[-1].order) if len(views) > len(shown) else ""
        return TaskPage(shown, after, len(self.page.tasks))

    def _tell(self, to: str, body: ToClient | Reply, *, is_client: bool = True) -> None:
        subject = SUBJECTS.client(to) if is_client else to
        frame = encode_frame("scripted", self.epoch, 0, [body])
        send(self.engine, subject, frame)


def send(engine: MemoryEngine, subject: str, data: bytes) -> None:
    """Publish from a callback; this bus takes a message without suspending."""
    publishing = engine.bus.publish(subject, data)
    try:
        publishing.send(None)
    except StopIteration:
        return
    raise AssertionError("the memory bus suspended")


def view_of(submission: Submission, *, submitted_ms: int = 0, order: int = 0) -> TaskView:
    return TaskView(
        submission.task_id,
        submission.kind,
        TaskState.QUEUED,
        submission.priority,
        0,
        4,
        submitted_ms,
        order=order,
    )


class Notices(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


async def start_client(
    cluster: MemoryCluster,
    *,
    shards: int = 1,
    config: ClientConfig | None = None,
    seed: int = 1,
    notice: Notices | None = None,
) -> Client:
    engine = cluster.connect(f"client-{seed}")
    ports = ClientPorts(
        engine.bus, SimulatedClock(asyncio.get_running_loop()), SimulatedEntropy(seed, "client")
    )
    client = Client(
        ports, subjects=SUBJECTS, shards=shards, config=config, notice=Notices() if notice is None else notice
    )
    await client.start()
    return client


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
