"""Hosts of a shard: their reports renew leases, show what got lost on the way, and their silence ends leases."""

from __future__ import annotations

from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.message import HostReport
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.fleet import HostSlots
from ohmesh.protocols.queue.shard import ROW_OVERHEAD_BYTES, Shard

MIN_LEASE_MS = 500


def report(shard: Shard, message: HostReport, now_ms: int) -> None:
    """A heartbeat: renews every lease of the host, and settles the differences between its account and ours."""
    at_ms = shard.advance(now_ms)
    host = shard.fleet.hosts.get(message.host)
    record = shard.table.hosts.get(message.host)
    known = max(host.incarnation if host else 0, record.incarnation if record else 0)
    if message.incarnation < known:
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
    if message.epoch == shard.table.epoch or message.epoch == 0:
        host.reported = True
    if message.epoch != shard.table.epoch:
        shard.step.host(host.name).enquire = True
    shard.fleet.admit(host, message.agents)
    _record(shard, message, at_ms)
    if host.reported:
        _reconcile(shard, host, message, at_ms)
    if message.leaving:
        _leave(shard, host, message, at_ms)


def _record(shard: Shard, message: HostReport, at_ms: int) -> None:
    """A row only when something changed that people and successors care about; the width of an agent is not that."""
    record = shard.table.hosts.get(message.host)
    agents = [_bare(spec) for spec in message.agents]
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
            ROW_OVERHEAD_BYTES * (1 + len(agents)),
        )


def _bare(spec: AgentSpec) -> AgentSpec:
    return AgentSpec(spec.agent, spec.kind, spec.capabilities, 0, spec.timeout_ms, spec.max_attempts)


def _reconcile(shard: Shard, host: HostSlots, message: HostReport, at_ms: int) -> None:
    """Leases that never arrived are handed back; those that it holds and are void are revoked."""
    held = set(message.held)
    missing: list[int] = []
    ours: set[int] = set()
    for lease, agent in host.leases():
        ours.add(lease)
        if lease not in held and agent.leases[lease] <= message.number:
            missing.append(lease)
    if missing:
        final = [lease for lease in missing if shard.table.leases[lease].finished_ms]
        shard.release(final)
        shard.hand_back([lease for lease in missing if lease not in set(final)], at_ms, "never arrived")
    void = held - ours
    if void:
        shard.step.host(host.name).revoked.extend(sorted(void))


def _leave(shard: Shard, host: HostSlots, message: HostReport, at_ms: int) -> None:
    held = set(message.held)
    leases = [lease for lease, _ in host.leases() if lease not in held]
    final = {lease for lease in leases if shard.table.leases[lease].finished_ms}
    shard.release(sorted(final))
    shard.hand_back([lease for lease in leases if lease not in final], at_ms, "its host left")
    _void(shard, host, f"Worker {host.name} left.", at_ms)
    _depart(shard, host, Liveness.LEFT, at_ms)


def expire_hosts(shard: Shard, now_ms: int) -> None:
    """End the leases of hosts that have been silent for longer than their lease."""
    at_ms = shard.advance(now_ms)
    for host in list(shard.fleet.hosts.values()):
        silence_ms = at_ms - host.last_seen_ms
        if silence_ms > host.lease_ms:
            _void(shard, host, f"Worker {host.name} was silent for {silence_ms} ms.", at_ms)
            _depart(shard, host, Liveness.OFFLINE, at_ms)


def _void(shard: Shard, host: HostSlots, reason: str, at_ms: int) -> None:
    for lease, _ in list(host.leases()):
        shard.lose(lease, reason, at_ms)


def _depart(shard: Shard, host: HostSlots, liveness: Liveness, at_ms: int) -> None:
    shard.fleet.remove(host)
    record = shard.table.hosts.get(host.name)
    if record is not None and record.liveness is not liveness:
        shard.decide(
            r.HostChanged(
                at_ms, host.name, record.incarnation, liveness, record.agents, record.pid, record.version
            ),
            ROW_OVERHEAD_BYTES * (1 + len(record.agents)),
        )
