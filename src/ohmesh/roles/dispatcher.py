"""The dispatcher: owns one shard of the task plane for one term.

    bus --frames--> shard machine --steps--> log writer --resolved--> frames to clients and hosts

What arrives is decided at once, in the callback that received it; what was decided is appended step by step, each
append resolved before the next, and only then told to anyone. Rows gather while the previous append is in flight;
nothing waits on a timer to be batched.

It starts by appending an epoch row, reading the log again until that is accepted, and asks the hosts what they still
run. It ends by cancellation, or by Fenced when another dispatcher has written to its log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from ohmesh.errors import Fenced, InvalidArgument, OhmeshError
from ohmesh.model.frame import MAX_FRAME_BYTES, decode_to_dispatcher, encode_frame
from ohmesh.model.message import (
    Accepted,
    Cancel,
    CancelAnswer,
    Describe,
    Enquire,
    Finished,
    Grants,
    HostPage,
    HostReport,
    ListHosts,
    ListTasks,
    Outcomes,
    Problem,
    Reply,
    Revoke,
    Settled,
    Submit,
    ToClient,
    ToDispatcher,
    ToHost,
    Watch,
)
from ohmesh.model.subject import Subjects
from ohmesh.policies.priority import rank
from ohmesh.policies.retry import RetryPolicy, retry_delay_ms
from ohmesh.policies.routing import fair_share
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.log import Log
from ohmesh.ports.state import State
from ohmesh.protocols.queue import hosting, intake, placement, queries
from ohmesh.protocols.queue.shard import Shard, ShardConfig, ShardPolicies
from ohmesh.protocols.queue.step import ClientNews, HostNews, Step
from ohmesh.roles.log_writer import LogWriter, LogWriterConfig
from ohmesh.roles.shard_loader import Loaded, ShardSource, load
from ohmesh.roles.snapshots import SnapshotConfig, Snapshots


@dataclass(frozen=True, slots=True)
class DispatcherConfig:
    """tick_ms: how late a delayed or retried task may become ready. sweep_ms: how late a silent host is noticed.
    backlog_frames: frames that may wait while a snapshot is encoded; more are dropped, and sent again by their
    senders. aging_ms: waiting lifts a task by one priority for each such stretch."""

    shard: ShardConfig = field(default_factory=ShardConfig)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    writer: LogWriterConfig = field(default_factory=LogWriterConfig)
    snapshot: SnapshotConfig = field(default_factory=SnapshotConfig)
    aging_ms: int = 60_000
    tick_ms: int = 20
    sweep_ms: int = 250
    backlog_frames: int = 10_000


@dataclass(frozen=True, slots=True)
class DispatcherPorts:
    bus: Bus
    log: Log
    state: State
    blobs: Blobs
    clock: Clock
    entropy: Entropy


@dataclass(slots=True)
class DispatcherStatistics:
    frames_received: int = 0
    frames_refused: int = 0
    frames_dropped: int = 0
    appends: int = 0
    rows: int = 0


class Dispatcher:
    def __init__(
        self,
        ports: DispatcherPorts,
        *,
        subjects: Subjects,
        shard: int,
        owner: str,
        config: DispatcherConfig | None = None,
    ) -> None:
        self.config = config or DispatcherConfig()
        self.statistics = DispatcherStatistics()
        self._ports = ports
        self._subjects = subjects
        self._number = shard
        self._owner = owner
        self._source = ShardSource(ports.log, ports.blobs, ports.state, subjects.log(shard), shard)
        self._writer = LogWriter(ports.log, self._source.name, ports.entropy, self.config.writer)
        self._snapshots = Snapshots(self._source)
        self._wake = asyncio.Event()
        self._backlog: deque[Message] = deque()
        self._is_deciding = False
        self._snapshot_due_bytes = self.config.snapshot.after_bytes
        self._epoch = 0
        self._shard = self._new_shard(None)

    async def run(self, term: int) -> None:
        """Take the shard over with epoch `term` and serve it until cancelled. Raises Fenced, LogCorrupt."""
        self._epoch = term
        await self._ports.log.create(self._source.name)
        await self._take_over(term)
        subscription = await self._ports.bus.subscribe(self._subjects.dispatcher(self._number), self._receive)
        self._resume()
        try:
            await self._announce()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(), name=f"dispatcher-{self._number}-pump")
                group.create_task(self._tick(), name=f"dispatcher-{self._number}-tick")
                group.create_task(self._trim(), name=f"dispatcher-{self._number}-trim")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._is_deciding = False
            await subscription.unsubscribe()

    # Taking over

    async def _take_over(self, term: int) -> None:
        """Read, append the epoch row, and read again whenever somebody else's entry came first."""
        while True:
            loaded = await load(self._source)
            if loaded.table.epoch >= term:
                raise Fenced(f"Shard {self._number} is at epoch {loaded.table.epoch}, ours would be {term}.")
            self._shard = self._new_shard(loaded)
            self._writer.seek(loaded.last, loaded.previous)
            self._shard.start_epoch(term, self._owner, self._ports.clock.now_ms(), lost_tail=loaded.lost_tail)
            step = self._shard.take_step()
            if step is None:
                raise AssertionError("an epoch was started without a row")
            try:
                await self._append(step)
            except Fenced:
                continue
            break
        if loaded.lost_tail:
            await self._snapshots.discard_beyond(self._writer.last - 1)
            await self._take_snapshot(wait=True)

    def _new_shard(self, loaded: Loaded | None) -> Shard:
        config = self.config

        def rank_of(priority: int, ready_ms: int, now_ms: int) -> float:
            return rank(priority, ready_ms, now_ms, config.aging_ms)

        policies = ShardPolicies(
            rank_of, lambda attempts, rng: retry_delay_ms(config.retry, attempts, rng), fair_share
        )
        table = loaded.table if loaded else None
        return Shard(config.shard, policies, number=self._number, rng=self._ports.entropy.rng(), table=table)

    async def _announce(self) -> None:
        enquiry = self._frame(Enquire(self._number, self._epoch))
        await self._ports.bus.publish(self._subjects.every_host(), enquiry)

    # Receiving

    def _receive(self, message: Message) -> None:
        if self._is_deciding:
            self._decide(message)
        elif len(self._backlog) < self.config.backlog_frames:
            self._backlog.append(message)
        else:
            self.statistics.frames_dropped += 1

    def _decide(self, message: Message) -> None:
        self.statistics.frames_received += 1
        try:
            frame = decode_to_dispatcher(message.data)
        except InvalidArgument as error:
            self.statistics.frames_refused += 1
            if message.reply:
                self._shard.step.replies.append((message.reply, Problem(error.code, str(error))))
                self._wake.set()
            return
        now_ms = self._ports.clock.now_ms()
        for body in frame.bodies:
            self._handle(body, message.reply, now_ms)
        self._wake.set()

    def _handle(self, body: ToDispatcher, reply: str, now_ms: int) -> None:
        shard = self._shard
        if isinstance(body, Submit):
            intake.submit(shard, body.client, body.tasks, now_ms)
        elif isinstance(body, Outcomes):
            shard.outcomes(body, now_ms)
        elif isinstance(body, HostReport):
            hosting.report(shard, body, now_ms)
        elif isinstance(body, Watch):
            intake.watch(shard, body.client, body.task_ids)
        elif isinstance(body, Cancel):
            shard.cancel(body.client, body.task_ids, now_ms)
        elif reply:
            shard.step.replies.append((reply, self._answer(body, now_ms)))

    def _answer(self, question: ListTasks | ListHosts | Describe, now_ms: int) -> Reply:
        try:
            if isinstance(question, ListTasks):
                return queries.list_tasks(self._shard, question)
            if isinstance(question, ListHosts):
                return HostPage(queries.list_hosts(self._shard, now_ms))
            return queries.describe(self._shard, self._number, self._writer.last)
        except (OhmeshError, ValueError) as error:
            return Problem(InvalidArgument.code, f"The question cannot be answered: {error}.")

    # Appending, then telling

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._drain()
            if self._writer.appended_bytes >= self._snapshot_due_bytes:
                await self._take_snapshot(wait=False)

    async def _drain(self) -> None:
        """Append and tell everything that is decided."""
        while True:
            placement.assign(self._shard, self._ports.clock.now_ms())
            step = self._shard.take_step()
            if step is None:
                return
            await self._append(step)
            await self._tell(step)

    async def _append(self, step: Step) -> None:
        if step.rows:
            await self._writer.append(self._epoch, step.rows)
            self.statistics.appends += 1
            self.statistics.rows += len(step.rows)
        self._shard.appended(step)

    async def _tell(self, step: Step) -> None:
        publish = self._ports.bus.publish
        for host, host_news in step.hosts.items():
            for body in self._host_messages(host_news):
                await publish(self._subjects.host(host), self._frame(body))
        for client, client_news in step.clients.items():
            for message in _client_messages(client_news):
                await publish(self._subjects.client(client), self._frame(message))
        for subject, reply in step.replies:
            await publish(subject, self._frame(reply))

    def _host_messages(self, news: HostNews) -> list[ToHost]:
        messages: list[ToHost] = []
        if news.enquire:
            messages.append(Enquire(self._number, self._epoch))
        messages.extend(
            Grants(self._number, self._epoch, batch.number, batch.grants) for batch in news.grants
        )
        if news.settled:
            messages.append(Settled(self._number, self._epoch, news.settled))
        if news.revoked:
            messages.append(Revoke(self._number, self._epoch, news.revoked))
        return messages

    def _frame(self, body: ToHost | ToClient | Reply) -> bytes:
        return encode_frame(self._owner, self._epoch, self._ports.clock.now_ms(), [body])

    # Time

    async def _tick(self) -> None:
        config = self.config
        sweep_every = max(1, config.sweep_ms // config.tick_ms)
        count = 0
        while True:
            await asyncio.sleep(config.tick_ms / 1000)
            if not self._is_deciding:
                continue
            now_ms = self._ports.clock.now_ms()
            self._shard.tick(now_ms)
            count += 1
            if count % sweep_every == 0:
                self._shard.sweep(now_ms)
                hosting.expire_hosts(self._shard, now_ms)
            self._wake.set()

    # Keeping the log short

    async def _take_snapshot(self, *, wait: bool) -> None:
        """Hold decisions back until the table is what the log says, encode it, go on; store it meanwhile."""
        self._is_deciding = False
        await self._drain()
        row, data = self._snapshots.encode(self._shard.table, self._writer.last, self._writer.previous)
        self._snapshot_due_bytes = self._writer.appended_bytes + self.config.snapshot.after_bytes
        if wait:
            await self._snapshots.store(row, data)
            self._shard.decide(row)
            await self._drain()
            return
        self._resume()
        await self._snapshots.store(row, data)
        self._shard.decide(row)
        self._wake.set()

    def _resume(self) -> None:
        """Decide again, what came meanwhile first."""
        self._is_deciding = True
        while self._backlog:
            self._decide(self._backlog.popleft())

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(self.config.snapshot.trim_interval_s)
            try:
                await self._snapshots.trim(self._shard.table.snapshot)
            except OhmeshError:
                # The engine is away or slow: the log is a little longer until the next round.
                continue


def _client_messages(news: ClientNews) -> list[ToClient]:
    messages: list[ToClient] = []
    if news.accepted or news.refused:
        messages.append(Accepted(news.accepted, news.refused))
    if news.cancelled or news.too_late or news.not_cancellable:
        messages.append(CancelAnswer(news.cancelled, news.too_late, news.not_cancellable))
    if news.finished or news.unknown:
        messages.extend(_finished_messages(news))
    return messages


def _finished_messages(news: ClientNews) -> list[ToClient]:
    """Split so that large results do not make a frame that is too large."""
    messages: list[ToClient] = []
    results = news.finished
    start = size = 0
    for end, ended in enumerate(results):
        cost = len(ended.value) + 128
        if size + cost > MAX_FRAME_BYTES // 2 and end > start:
            messages.append(Finished(results[start:end]))
            start, size = end, 0
        size += cost
    messages.append(Finished(results[start:], news.unknown))
    return messages
