"""The executor: the role of a host. Takes grants, has its runner do them, and repeats each outcome until it is settled.

What travels may be lost, so both sides keep accounts: a report names the leases that are held and the last Grants
frame that was seen; the dispatcher finds what never arrived, and tells what is void. A lease is held from its grant
until its outcome is settled. Grants of an epoch lower than one seen come from a dispatcher that has been replaced and
are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ohmesh.errors import EngineError, EngineUnavailable, InvalidArgument
from ohmesh.model.agent import AgentSpec, Duty
from ohmesh.model.frame import MAX_FRAME_BYTES, decode_to_host, encode_frame
from ohmesh.model.message import Enquire, Grants, HostReport, Outcomes, Revoke, Settled, ToDispatcher
from ohmesh.model.subject import Subjects, shard_of
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, shard_of_lease
from ohmesh.ports.bus import Bus, Message
from ohmesh.ports.clock import Clock
from ohmesh.ports.entropy import Entropy
from ohmesh.ports.runner import Runner
from ohmesh.roles.host_name import Answers, check_name_is_free
from ohmesh.roles.outcome_size import outcome_bytes, sendable
from ohmesh.roles.progress_reports import ProgressReports
from ohmesh.roles.starting import start_unless
from ohmesh.roles.stream_reports import StreamReports


@dataclass(frozen=True, slots=True)
class ExecutorConfig:
    """lease_ms should be at least twice heartbeat_ms: one lost heartbeat must not end leases.
    resend_ms: an outcome that was not settled for so long is sent again.
    drain_s: how long running work may go on after the host was told to leave; settle_s: how long to wait then for the
    dispatcher to settle the last outcomes; name_answer_s: how long one that has our name may take to say so."""

    heartbeat_ms: int = 5_000
    lease_ms: int = 10_000
    resend_ms: int = 2_000
    drain_s: float = 10.0
    settle_s: float = 5.0
    name_answer_s: float = 2.0


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """`name` is unique among the hosts that live; `shards` is how many the mesh has; the rest is shown to people."""

    name: str
    shards: int = 1
    pid: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorPorts:
    bus: Bus
    clock: Clock
    entropy: Entropy


@dataclass(slots=True)
class _ShardLink:
    """This host's account with the dispatcher of one shard."""

    shard: int
    epoch: int = 0
    number: int = 0
    agents: dict[str, AgentSpec] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    unsettled: dict[int, tuple[Outcome, int]] = field(default_factory=dict)
    outgoing: list[Outcome] = field(default_factory=list)
    resized: set[str] = field(default_factory=set)
    report_due: bool = True


@dataclass(slots=True)
class ExecutorStatistics:
    grants: int = 0
    outcomes: int = 0
    repeated_outcomes: int = 0
    gaps: int = 0
    refused_frames: int = 0


class Executor:
    def __init__(
        self,
        ports: ExecutorPorts,
        runner: Runner,
        *,
        subjects: Subjects,
        host: HostIdentity,
        config: ExecutorConfig | None = None,
    ) -> None:
        self.config = config or ExecutorConfig()
        self.statistics = ExecutorStatistics()
        self.host = host.name
        self.incarnation = ports.clock.now_ms()
        self._ports = ports
        self._runner = runner
        self._progress = ProgressReports(
            ports.bus, ports.clock, subjects=subjects, host=host.name, incarnation=self.incarnation
        )
        self._streams = StreamReports(
            ports.bus, ports.clock, subjects=subjects, host=host.name, incarnation=self.incarnation
        )
        self._subjects = subjects
        self._identity = host
        self._links: dict[int, _ShardLink] = {}
        self._shard_of_agent: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._leave = asyncio.Event()
        self._settled = asyncio.Event()
        self._duty = Duty.READY
        self._is_connected = True
        self._joined = asyncio.Event()
        self._answers = Answers()

    async def run(self) -> None:
        """Serve until leave() or cancellation; both hand work back and say goodbye before returning.

        Raises InvalidArgument when another host of this name is alive.
        """
        bus = self._ports.bus
        bus.watch_connection(self._connection_changed)
        self._runner.watch_progress(self._progress.put)
        self._runner.watch_items(self._streams.put)
        specs = await start_unless(self._leave, self._runner, self._report_outcomes, self._resize)
        if specs is None:
            return
        for spec in specs:
            self._add_agent(spec)
        await self._take_name()
        subscriptions = [
            await bus.subscribe(self._subjects.host(self.host), self._receive),
            await bus.subscribe(self._subjects.every_host(), self._receive),
        ]
        tellers = (self._progress, self._streams)
        work = (self._send_loop(), self._heartbeat_loop(), *(one.publish_for_ever() for one in tellers))
        loops = [asyncio.ensure_future(one) for one in work]
        leaving = asyncio.ensure_future(self._leave.wait())
        try:
            done, _ = await asyncio.wait([leaving, *loops], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            leaving.cancel()
            await self._drain()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._say_goodbye()
            for subscription in subscriptions:
                # With the connection gone the subscriptions are gone too; that must not hide why we end.
                with contextlib.suppress(EngineError):
                    await subscription.unsubscribe()

    def leave(self) -> None:
        """Drain and return from run()."""
        self._leave.set()

    async def joined(self) -> None:
        """Wait until a dispatcher has answered the first report."""
        await self._joined.wait()

    def held_leases(self) -> list[int]:
        return [lease for link in self._links.values() for lease in link.held]

    async def _take_name(self) -> None:
        bus, subject, wait_s = self._ports.bus, self._subjects.host(self.host), self.config.name_answer_s
        try:
            await check_name_is_free(bus, subject, self._frame(), host=self.host, timeout_s=wait_s)
        except InvalidArgument:
            await self._runner.stop(grace_s=0)
            raise

    # From the dispatcher

    def _receive(self, message: Message) -> None:
        if message.reply:
            self._answers.owe(message.reply)
            self._wake.set()
            return
        try:
            frame = decode_to_host(message.data)
        except InvalidArgument:
            self.statistics.refused_frames += 1
            return
        for body in frame.bodies:
            link = self._links.get(body.shard)
            if link is None:
                continue
            if isinstance(body, Enquire) and body.instead_of == link.epoch:
                link.epoch = 0  # it was of a history that is gone
            if body.epoch < link.epoch:
                self.statistics.refused_frames += 1
                continue
            if body.epoch > link.epoch:
                link.epoch = body.epoch
                link.number = 0
                link.report_due = True
                self._wake.set()
            self._joined.set()
            if isinstance(body, Grants):
                self._take(link, body)
            elif isinstance(body, Settled):
                self._settle(link, body.leases)
            elif isinstance(body, Revoke):
                self._revoke(link, body.leases)
            elif isinstance(body, Enquire):
                self._repeat_outcomes(link)
                link.report_due = True
                self._wake.set()

    def _take(self, link: _ShardLink, message: Grants) -> None:
        if message.number <= link.number:
            return
        if message.number > link.number + 1:
            self.statistics.gaps += 1
            link.report_due = True
            self._wake.set()
        link.number = message.number
        grants = message.grants
        self.statistics.grants += len(grants)
        link.held.update([grant.lease for grant in grants])
        if self._duty is Duty.READY:
            self._runner.run(grants)
        else:
            self._report_outcomes([_returned(grant) for grant in grants])

    def _settle(self, link: _ShardLink, leases: list[int]) -> None:
        for lease in leases:
            link.unsettled.pop(lease, None)
        link.held.difference_update(leases)
        self._settled.set()

    def _revoke(self, link: _ShardLink, leases: list[int]) -> None:
        """Void or cancelled: stop what runs. The outcome is reported as any other, and settled."""
        running = [lease for lease in leases if lease in link.held and lease not in link.unsettled]
        if running:
            self._runner.cancel(running)

    # From the runner

    def _report_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        now_ms = self._ports.clock.monotonic_ms()
        links = self._links
        for outcome in map(sendable, outcomes):
            link = links[shard_of_lease(outcome.lease)]
            link.unsettled[outcome.lease] = (outcome, now_ms)
            link.outgoing.append(outcome)
        self.statistics.outcomes += len(outcomes)
        self._streams.ended(outcomes)
        self._wake.set()

    def _resize(self, agent: str, slots: int) -> None:
        shard = self._shard_of_agent.get(agent)
        if shard is None:
            return
        link = self._links[shard]
        old = link.agents[agent]
        link.agents[agent] = AgentSpec(
            old.agent, old.kind, old.capabilities, slots, old.timeout_ms, old.max_attempts
        )
        link.resized.add(agent)
        self._wake.set()

    def _add_agent(self, spec: AgentSpec) -> None:
        shard = shard_of(spec.kind, self._identity.shards)
        link = self._links.get(shard)
        if link is None:
            link = self._links[shard] = _ShardLink(shard)
        self._shard_of_agent[spec.agent] = shard
        link.agents[spec.agent] = AgentSpec(
            f"{self.host}/{spec.agent}",
            spec.kind,
            spec.capabilities,
            spec.slots,
            spec.timeout_ms,
            spec.max_attempts,
        )

    # To the dispatcher

    async def _send_loop(self) -> None:
        """Frames fill while the previous one is being sent."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._answers.give(self._ports.bus, self._frame())
            for link in self._links.values():
                if link.outgoing or link.resized:
                    await self._send_outcomes(link)
                if link.report_due:
                    link.report_due = False
                    await self._publish(link, self._report(link))

    async def _heartbeat_loop(self) -> None:
        """While disconnected nothing is said: it would only fill the outgoing buffer. After it everything is."""
        monotonic_ms = self._ports.clock.monotonic_ms
        config = self.config
        due_ms = monotonic_ms() + config.heartbeat_ms
        while True:
            pause_ms = max(1, min(config.resend_ms, due_ms - monotonic_ms()))
            await asyncio.sleep(pause_ms / 1000)
            now_ms = monotonic_ms()
            is_due = now_ms >= due_ms
            if is_due:
                due_ms = now_ms + config.heartbeat_ms
            if self._is_connected:
                for link in self._links.values():
                    self._repeat_outcomes(link, older_than_ms=now_ms - config.resend_ms)
                    link.report_due = link.report_due or is_due
                self._wake.set()

    def _repeat_outcomes(self, link: _ShardLink, *, older_than_ms: int | None = None) -> None:
        now_ms = self._ports.clock.monotonic_ms()
        waiting = {outcome.lease for outcome in link.outgoing}
        for lease, (outcome, sent_ms) in list(link.unsettled.items()):
            if lease not in waiting and (older_than_ms is None or sent_ms <= older_than_ms):
                link.unsettled[lease] = (outcome, now_ms)
                link.outgoing.append(outcome)
                self.statistics.repeated_outcomes += 1

    async def _send_outcomes(self, link: _ShardLink) -> None:
        outcomes, link.outgoing = link.outgoing, []
        slots = [(link.agents[agent].agent, link.agents[agent].slots) for agent in link.resized]
        link.resized.clear()
        start = size = 0
        for end, outcome in enumerate(outcomes):
            cost = outcome_bytes(outcome)
            if size + cost > MAX_FRAME_BYTES // 2 and end > start:
                await self._publish(link, Outcomes(self.host, self.incarnation, outcomes[start:end]))
                start, size = end, 0
            size += cost
        await self._publish(link, Outcomes(self.host, self.incarnation, outcomes[start:], slots))

    async def _publish(self, link: _ShardLink, body: ToDispatcher) -> None:
        try:
            await self._ports.bus.publish(self._subjects.dispatcher(link.shard), self._frame(body))
        except EngineUnavailable:
            # Nothing is lost: outcomes are repeated until they are settled, reports are periodic.
            return

    def _frame(self, *bodies: ToDispatcher) -> bytes:
        return encode_frame(self.host, self.incarnation, self._ports.clock.now_ms(), list(bodies))

    def _report(self, link: _ShardLink, *, leaving: bool = False) -> HostReport:
        return HostReport(
            self.host,
            self.incarnation,
            link.epoch,
            link.number,
            list(link.agents.values()),
            list(link.held),
            self._duty,
            leaving,
            self.config.lease_ms,
            self._identity.pid,
            self._identity.version,
            takes_envelopes=self._runner.takes_envelopes,
        )

    def _connection_changed(self, is_connected: bool) -> None:
        """After a reconnect, at once: what was on its way may be gone."""
        self._is_connected = is_connected
        if is_connected:
            for link in self._links.values():
                self._repeat_outcomes(link)
                link.report_due = True
            self._wake.set()

    async def _drain(self) -> None:
        """Take nothing more, end what runs, and wait until the dispatchers know of it."""
        self._duty = Duty.DRAINING
        for link in self._links.values():
            link.report_due = True
        self._wake.set()
        await self._runner.stop(grace_s=self.config.drain_s)
        # Where no dispatcher answers, it will find the leases void by our silence.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.settle_s):
                while any(link.held for link in self._links.values()):
                    self._settled.clear()
                    await self._settled.wait()

    async def _say_goodbye(self) -> None:
        """The last words: nothing is sent after them that would bring us back."""
        for link in self._links.values():
            if link.outgoing:
                await self._send_outcomes(link)
            await self._publish(link, self._report(link, leaving=True))


def _returned(grant: Grant) -> Outcome:
    return Outcome(grant.lease, grant.task_id, OutcomeStatus.RETURNED)
