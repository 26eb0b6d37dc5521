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
import contextlib
from collections import deque

from ohmesh.errors import EngineError, Fenced, InvalidArgument, OhmeshError, PayloadTooLarge
from ohmesh.model.frame import MAX_FRAME_BYTES, decode_to_dispatcher
from ohmesh.model.lock import AskLock
from ohmesh.model.message import (
    Cancel,
    Enquire,
    HostReport,
    NewDispatcher,
    Outcomes,
    Problem,
    Reply,
    Submit,
    ToDispatcher,
    Watch,
)
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Message
from ohmesh.protocols.queue import (
    cancelling,
    hosting,
    intake,
    locks,
    placement,
    queries,
    retention,
    scheduling,
    wishes,
)
from ohmesh.protocols.queue.rows import SnapshotTaken
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.step import Step
from ohmesh.protocols.queue.wishes import Wish
from ohmesh.roles.blocked_log import declined
from ohmesh.roles.connection_watch import watch_while_alive
from ohmesh.roles.dispatcher_config import (
    DispatcherConfig,
    DispatcherPorts,
    DispatcherStatistics,
    policies_of,
)
from ohmesh.roles.dispatcher_voice import Voice
from ohmesh.roles.log_writer import LogWriter, TailLost
from ohmesh.roles.mesh_clock import MeshClock
from ohmesh.roles.shard_loader import Loaded, ShardSource, load
from ohmesh.roles.snapshots import Snapshot, Snapshots
from ohmesh.roles.task_sieve import sieve_of

__all__ = ["Dispatcher", "DispatcherConfig", "DispatcherPorts", "DispatcherStatistics"]


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
        self._snapshots = Snapshots(self._source, self.config.snapshot)
        self._clock = MeshClock(ports.clock)
        self._voice = Voice((ports.bus, self._clock), subjects, self.statistics, shard=shard, owner=owner)
        self._wake = asyncio.Event()
        self._backlog: deque[Message] = deque()
        self._urgent: deque[tuple[str, bytes]] = deque(maxlen=self.config.urgent_messages)
        self._has_urgent = asyncio.Event()
        self._failure: Exception | None = None
        self._is_deciding = False
        self._is_hearing = True
        self._named: SnapshotTaken | None = None
        self._naming: SnapshotTaken | None = None
        self._unstored: Snapshot | None = None
        self._has_unstored = asyncio.Event()
        self._snapshot_due_bytes = self.config.snapshot.after_bytes
        self._epoch = 0
        self._shard = self._new_shard(None)

    async def run(self, term: int) -> None:
        """Take the shard over with epoch `term` and serve it until cancelled. Raises Fenced, LogCorrupt."""
        try:
            await self._serve(term)
        except TailLost:
            await self._snapshots.leave_word(self._writer.last)
            raise

    async def _serve(self, term: int) -> None:
        self._epoch = self._voice.epoch = term
        await self._ports.log.create(self._source.name)
        await self._take_over(term)
        watch_while_alive(self._ports.bus, self._connection_changed)
        subscription = await self._ports.bus.subscribe(self._subjects.dispatcher(self._number), self._receive)
        self._resume()
        try:
            await self._announce()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(), name=f"dispatcher-{self._number}-pump")
                group.create_task(self._tick(), name=f"dispatcher-{self._number}-tick")
                group.create_task(self._trim(), name=f"dispatcher-{self._number}-trim")
                group.create_task(self._store(), name=f"dispatcher-{self._number}-store")
                group.create_task(self._speak(), name=f"dispatcher-{self._number}-speak")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            self._is_deciding = False
            # With the connection gone the subscription is gone too; that must not hide why we end.
            with contextlib.suppress(EngineError):
                await subscription.unsubscribe()

    def _connection_changed(self, is_connected: bool) -> None:
        """While we hear nobody, nobody is silent; afterwards every lease starts anew."""
        self._is_hearing = is_connected
        if is_connected:
            hosting.excuse(self._shard, self._clock.now_ms(), missed_ms=None)

    # Taking over

    async def _take_over(self, term: int) -> None:
        """Read, append the epoch row, and read again whenever somebody else's entry came first."""
        while True:
            loaded = await load(self._source, self.config.shard.parking)
            self._clock.begin(loaded.table.time_ms)
            if loaded.table.epoch >= term:
                raise Fenced(f"Shard {self._number} is at epoch {loaded.table.epoch}, ours would be {term}.")
            self._shard = self._new_shard(loaded)
            self._writer.seek(loaded.last, loaded.previous)
            self._shard.start_epoch(term, self._owner, self._clock.now_ms(), lost_tail=loaded.lost_tail)
            step = self._shard.take_step()
            if step is None:
                raise AssertionError("an epoch was started without a row")
            try:
                await self._append(step)
            except Fenced:
                continue
            break
        self._named = loaded.table.snapshot
        if loaded.lost_tail or loaded.orphans:
            await self._replace_snapshots(loaded.orphans)

    async def _replace_snapshots(self, orphans: list[str]) -> None:
        """The log has lost its tail: before anything is granted, what we know is stored and named, and only then are
        snapshots beyond its end, which may be all that is left of it, deleted."""
        snapshot = self._snapshots.freeze(self._shard.table, self._writer.last, self._writer.previous)
        await self._snapshots.store(snapshot)
        self._name_snapshot(snapshot)
        while await self._advance():
            continue
        await self._snapshots.take_word()
        await self._snapshots.delete([key for key in orphans if key != snapshot.key])

    def _new_shard(self, loaded: Loaded | None) -> Shard:
        table = loaded.table if loaded else None
        return Shard(
            self.config.shard,
            policies_of(self.config),
            number=self._number,
            rng=self._ports.entropy.rng(),
            table=table,
        )

    async def _announce(self) -> None:
        enquiry = self._voice.frame(Enquire(self._number, self._epoch))
        await self._ports.bus.publish(self._subjects.every_host(), enquiry)
        presented = self._voice.frame(NewDispatcher(self._number, self._epoch))
        await self._ports.bus.publish(self._subjects.every_client(), presented)

    # Receiving

    def _receive(self, message: Message) -> None:
        if not self._is_deciding:
            if len(self._backlog) < self.config.backlog_frames:
                self._backlog.append(message)
            else:
                self.statistics.frames_dropped += 1
            return
        try:
            self._decide(message)
        except Exception as error:  # noqa: BLE001 -- it ends run(); in a callback of the bus nobody would hear it
            # What was half decided must not be acted upon: whoever comes next decides from the log.
            self._is_deciding = False
            self._failure = error
            self._wake.set()

    def _decide(self, message: Message) -> None:
        self.statistics.frames_received += 1
        try:
            frame = decode_to_dispatcher(message.data)
            now_ms = self._clock.now_ms()
            is_blocked = self._is_blocked()
            for body in frame.bodies:
                if not is_blocked or not self._decline(body, message.reply):
                    self._handle(body, message.reply, now_ms)
        except InvalidArgument as error:
            self.statistics.frames_refused += 1
            if message.reply:
                self._answer_with(message.reply, Problem(error.code, str(error)))
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
            cancelling.cancel(shard, body.client, body.task_ids, now_ms)
        elif not reply or shard.is_clogged():
            return  # it is asked again
        elif isinstance(body, AskLock):
            locks.ask(shard, body, reply, now_ms)
        elif isinstance(body, Wish):
            self._answer_with(reply, wishes.decide(shard, body, now_ms))
        else:
            sieve = sieve_of(body, now_ms)
            self._answer_with(reply, queries.answer(shard, body, now_ms, self._writer.last, sieve=sieve))

    def _is_blocked(self) -> bool:
        blocked = self._writer.blocked
        if blocked is None:
            return False
        return (asyncio.get_running_loop().time() - blocked.since_s) * 1000 >= self.config.blocked_ms

    def _decline(self, body: ToDispatcher, reply: str) -> bool:
        """While the log takes nothing: answer at once, past all that waits for it, what would only wait too."""
        assert self._writer.blocked is not None
        answer = declined(body, self._shard.table, self._number, self._writer.blocked.refusal)
        subject = self._subjects.client(body.client) if isinstance(body, Submit) else reply
        if answer is not None and subject:
            self._urgent.append((subject, self._voice.frame(answer)))
            self._has_urgent.set()
        return answer is not None

    async def _speak(self) -> None:
        while True:
            await self._has_urgent.wait()
            self._has_urgent.clear()
            while self._urgent:
                await self._voice.publish(*self._urgent.popleft())

    def _answer_with(self, subject: str, reply: Reply) -> None:
        data = self._voice.frame(reply)
        if len(data) > MAX_FRAME_BYTES:
            message = f"The answer takes {len(data)} bytes, one message holds {MAX_FRAME_BYTES}."
            data = self._voice.frame(Problem(PayloadTooLarge.code, message))
        self._shard.room(len(data)).replies.append((subject, data))

    # Appending, then telling

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while await self._advance():
                if self._is_snapshot_due():
                    await self._take_snapshot()

    async def _advance(self) -> bool:
        """Append and tell the oldest step that is decided; False when there is none."""
        if self._failure is not None:
            raise self._failure
        placement.assign(self._shard, self._clock.now_ms())
        step = self._shard.take_step()
        if step is None:
            return False
        await self._append(step)
        await self._voice.tell(step)
        return True

    async def _append(self, step: Step) -> None:
        if step.rows:
            await self._writer.append(self._epoch, step.rows)
            self.statistics.appends += 1
            self.statistics.rows += len(step.rows)
            if self._naming is not None and any(row is self._naming for row in step.rows):
                self._named, self._naming = self._naming, None
        self._shard.appended(step)

    # Time

    async def _tick(self) -> None:
        config = self.config
        looked_ms = swept_ms = self._clock.now_ms()
        while True:
            await asyncio.sleep(config.tick_ms / 1000)
            now_ms = self._clock.now_ms()
            # This process stood still, or the wall clock leapt: what hosts said meanwhile has not been read yet.
            if now_ms - looked_ms > config.stall_ms:
                hosting.excuse(self._shard, now_ms, missed_ms=now_ms - looked_ms)
            looked_ms = now_ms
            if not self._is_deciding:
                continue
            scheduling.run_due(self._shard, now_ms)
            self._shard.tick(now_ms)
            if now_ms - swept_ms >= config.sweep_ms:
                swept_ms = now_ms
                retention.sweep(self._shard, now_ms)
                if self._is_hearing:
                    hosting.expire_hosts(self._shard, now_ms)
                    locks.sweep(self._shard, now_ms)
            self._wake.set()

    # Keeping the log short

    def _is_snapshot_due(self) -> bool:
        return self._writer.appended_bytes >= self._snapshot_due_bytes and self._unstored is None

    async def _take_snapshot(self) -> None:
        """Hold decisions back until the table is what the log says, freeze it, go on; it is stored meanwhile."""
        self._is_deciding = False
        while await self._advance():
            continue
        self._unstored = self._snapshots.freeze(self._shard.table, self._writer.last, self._writer.previous)
        self._has_unstored.set()
        self._resume()

    async def _store(self) -> None:
        while True:
            await self._has_unstored.wait()
            self._has_unstored.clear()
            if self._unstored is not None:
                await self._store_one(self._unstored)
                self._unstored = None
                self._wake.set()

    async def _store_one(self, snapshot: Snapshot) -> None:
        if await self._snapshots.store(snapshot):
            self._name_snapshot(snapshot)
            after_bytes = max(self.config.snapshot.after_bytes, snapshot.size_bytes // 2)
            self._snapshot_due_bytes = self._writer.appended_bytes + after_bytes
        else:
            self._snapshot_due_bytes = self._writer.appended_bytes

    def _name_snapshot(self, snapshot: Snapshot) -> None:
        """It counts once this row is in the log."""
        at_ms = self._shard.advance(self._clock.now_ms())
        self._naming = SnapshotTaken(at_ms, snapshot.key, snapshot.sequence)
        self._shard.decide(self._naming)

    def _resume(self) -> None:
        """Decide again, what came meanwhile first."""
        self._is_deciding = True
        while self._backlog and self._is_deciding:
            self._receive(self._backlog.popleft())

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(self.config.snapshot.trim_interval_s)
            try:
                await self._snapshots.trim(self._named)
            except OhmeshError:
                # The engine is away or slow: the log is a little longer until the next round.
                continue
