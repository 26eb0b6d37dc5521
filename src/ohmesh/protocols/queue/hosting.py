"""Hosts of a shard: their reports renew leases, show what got lost on the way, and their silence ends leases."""

from __future__ import annotations

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.message import HostReport
from ohmesh.model.subject import checked_name
from ohmesh.protocols.queue import hearing, placement
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.fleet import HostSlots
from ohmesh.protocols.queue.host_record import HostRecord
from ohmesh.protocols.queue.shard import Shard
from ohmesh.protocols.queue.sizes import ROW_OVERHEAD_BYTES

MIN_LEASE_MS = 500


def report(shard: Shard, message: HostReport, now_ms: int) -> None:
    """A heartbeat: renews every lease of the host, and settles the differences between its account and ours.

    Raises InvalidArgument. A lower incarnation is not believed while the higher one is here; afterwards it is, for a
    host may have been started anew with its clock set back."""
    _check_names(message)
    if message.epoch > shard.table.epoch:
        _ask_the_log(shard, message)
        return
    at_ms = shard.advance(now_ms)
    host = shard.fleet.hosts.get(message.host)
    if host is not None and message.incarnation < host.incarnation:
        return
    if host is not None and message.incarnation > host.incarnation:
        _void(shard, host, f"Worker {host.name} was started anew.", at_ms)
        shard.fleet.remove(host)
        host = None
    if host is None:
        host = shard.fleet.join(message.host, message.incarnation, at_ms, message.lease_ms)
    host.last_seen_ms = at_ms
    host.lease_ms = max(MIN_LEASE_MS, message.lease_ms)
    host.duty = message.duty
    host.takes_envelopes = message.takes_envelopes
    if message.epoch == shard.table.epoch or message.epoch == 0:
        host.reported = True
    if message.epoch == shard.table.epoch:
        hearing.note_seen(host, message.number, at_ms)
    else:
        shard.step.host(host.name).enquire = True
    shard.fleet.admit(host, message.agents)
    _record(shard, message, at_ms)
    if message.epoch == shard.table.epoch:
        _reconcile(shard, host, message, at_ms)
    if message.leaving:
        _leave(shard, host, message, at_ms)


def _ask_the_log(shard: Shard, message: HostReport) -> None:
    """It has heard a later epoch than ours. Either we have been replaced, and then the append of this row tells us; or
    that epoch is of a history that is gone, and then the host is told so, after the append has proved it."""
    shard.decide(r.Released([]))
    news = shard.step.host(message.host)
    news.enquire = True
    news.instead_of = message.epoch


def _check_names(message: HostReport) -> None:
    prefix = checked_name(message.host, "worker name") + "/"
    for spec in message.agents:
        if not spec.agent.startswith(prefix):
            raise InvalidArgument(f"Worker {message.host} announces {spec.agent!r}, which is not its own.")


def _record(shard: Shard, message: HostReport, at_ms: int) -> None:
    """A row only when something changed that people and successors care about; the width of an agent is not that."""
    record = shard.table.hosts.get(message.host)
    agents = [_bare(spec) for spec in message.agents]
    if record is None and len(shard.table.hosts) >= shard.config.hosts:
        _forget_host(shard, at_ms)
    if (
        record is None
        or record.incarnation != message.incarnation
        or record.liveness is not Liveness.ACTIVE
        or record.agents != agents
    ):
        shard.decide(
            r.HostChanged(
                at_ms,
                message.host,
                message.incarnation,
                Liveness.ACTIVE,
                agents,
                message.pid,
                message.version,
            ),
            _host_bytes(agents),
        )


def _forget_host(shard: Shard, at_ms: int) -> None:
    """The one that has been away for longest, if any is away."""
    away = [record for record in shard.table.hosts.values() if record.host not in shard.fleet.hosts]
    if away:
        record = min(away, key=lambda record: record.changed_ms)
        shard.decide(r.HostChanged(at_ms, record.host, record.incarnation, Liveness.LEFT, []))
        shard.fleet.forget(record.host)


def _host_bytes(agents: list[AgentSpec]) -> int:
    return sum(ROW_OVERHEAD_BYTES + sum(map(len, spec.capabilities)) for spec in agents)


def _bare(spec: AgentSpec) -> AgentSpec:
    return AgentSpec(spec.agent, spec.kind, spec.capabilities, 0, spec.timeout_ms, spec.max_attempts)


def _reconcile(shard: Shard, host: HostSlots, message: HostReport, at_ms: int) -> None:
    """Leases that never arrived are handed back; those that it holds and are void, or whose task was cancelled, are
    revoked: the first time that this was said it may have got lost.

    A lease of a later frame than the last one seen is on its way, or that frame was lost and no other may ever follow
    it (its slots are taken). An empty frame tells: it comes after what is on its way, and reveals what never comes as
    a gap, which is reported at once. A deaf host is told so again with each report, so that it may come back."""
    held = set(message.held)
    live = shard.table.leases
    missing: list[int] = []
    needed: set[int] = set()
    is_awaited = host.is_deaf
    for lease, agent in host.leases():
        if not live[lease].finished_ms:
            needed.add(lease)
        if agent.leases[lease] > message.number and not host.is_deaf:
            is_awaited = True
        elif lease not in held:
            missing.append(lease)
    if missing:
        shard.release([lease for lease in missing if lease not in needed])
        shard.hand_back([lease for lease in missing if lease in needed], at_ms, "never arrived")
    void = held - needed
    if void:
        shard.room(9 * len(void)).host(host.name).revoked.extend(sorted(void))
    if is_awaited:
        placement.open_frame(shard, host)


def _leave(shard: Shard, host: HostSlots, message: HostReport, at_ms: int) -> None:
    held = set(message.held)
    leases = [lease for lease, _ in host.leases() if lease not in held]
    final = {lease for lease in leases if shard.table.leases[lease].finished_ms}
    shard.release(sorted(final))
    shard.hand_back([lease for lease in leases if lease not in final], at_ms, "its host left")
    _void(shard, host, f"Worker {host.name} left.", at_ms)
    _depart(shard, host, Liveness.LEFT, at_ms)


def excuse(shard: Shard, now_ms: int, *, missed_ms: int | None) -> None:
    """We could not hear anybody for this long (None: nobody knows): it does not count as a silence of hosts."""
    at_ms = shard.advance(now_ms)
    if missed_ms is None or missed_ms >= shard.config.lease_ms:
        shard.hearing_since_ms = at_ms
    for host in shard.fleet.hosts.values():
        hearing.excuse(host, at_ms, missed_ms)
        host.last_seen_ms = at_ms if missed_ms is None else min(at_ms, host.last_seen_ms + missed_ms)


def expire_hosts(shard: Shard, now_ms: int) -> None:
    """End the leases of hosts that have been silent for longer than their lease."""
    at_ms = shard.advance(now_ms)
    for host in list(shard.fleet.hosts.values()):
        silence_ms = at_ms - host.last_seen_ms
        if silence_ms > host.lease_ms:
            _void(shard, host, f"Worker {host.name} was silent for {silence_ms} ms.", at_ms)
            _depart(shard, host, Liveness.OFFLINE, at_ms)


def _void(shard: Shard, host: HostSlots, reason: str, at_ms: int) -> None:
    """Last submitted first: each goes to the front of its queue, so they stand in order again."""
    live = shard.table.leases
    for lease, _ in sorted(host.leases(), key=lambda held: live[held[0]].order, reverse=True):
        shard.lose(lease, reason, at_ms)


def _depart(shard: Shard, host: HostSlots, liveness: Liveness, at_ms: int) -> None:
    shard.fleet.remove(host)
    record = shard.table.hosts.get(host.name)
    if record is not None and record.liveness is not liveness:
        shard.decide(_changed(record, liveness, at_ms), _host_bytes(record.agents))


def _changed(record: HostRecord, liveness: Liveness, at_ms: int) -> r.HostChanged:
    return r.HostChanged(
        at_ms, record.host, record.incarnation, liveness, record.agents, record.pid, record.version
    )
