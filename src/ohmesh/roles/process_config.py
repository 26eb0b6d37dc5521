"""Bounds of one process of the mesh: its lease, its claims, its roles."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """A role whose process was killed starts elsewhere after at most
    lease_ttl_ms + what the engine takes to notice + claim_jitter_ms (+ check_every_ms if a watch missed it).

    lease_margin_ms: how much sooner than the engine the holder counts its lease as lost; covers the drift of its clock
        within one TTL and the time in which its roles end.
    renew_every_ms: a third of the TTL leaves room for two failed tries. retry_ms: after one.
    call_timeout_ms: a call to the engine that hangs is given up; its outcome is looked up.
    check_every_ms: the record and the owners' leases are read at least this often, whatever the watches say.
    settle_ms: a process that has just come waits this long before it takes orphans, so that those that came with it
        are seen and roles spread. claim_step_ms: each process that should come first gets this much advance.
    handover_ms: a process that holds more than its fair share hands it over when that has been so for this long, so
        that those that come have settled; doubled, up to handover_max_ms, for each time in a row that nobody took it.
    handover_roles: at most so many at a time, so that only few pause together.
    role_stop_ms: a cancelled role that has not ended by then is reported, and not waited for when leaving.
    backoff_ms, backoff_max_ms: rest of a role here after it failed, doubled for each failure in a row; a run of
        steady_ms begins anew. leave_ms: a clean stop gives its roles back within this time or lets the lease run out.
    """

    lease_ttl_ms: int = 3000
    lease_margin_ms: int = 500
    renew_every_ms: int = 1000
    retry_ms: int = 200
    call_timeout_ms: int = 1000
    check_every_ms: int = 500
    settle_ms: int = 250
    claim_step_ms: int = 200
    claim_jitter_ms: int = 20
    handover_ms: int = 1000
    handover_max_ms: int = 60_000
    handover_roles: int = 4
    role_stop_ms: int = 1500
    backoff_ms: int = 200
    backoff_max_ms: int = 5000
    steady_ms: int = 10_000
    leave_ms: int = 2000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"{name} = {getattr(self, name)} is not a bound.", hint="Give at least 1."
                )
        if self.renew_every_ms + self.call_timeout_ms > self.lease_ttl_ms - self.lease_margin_ms:
            raise InvalidArgument(
                f"One lost renewal (every {self.renew_every_ms} ms, given up after {self.call_timeout_ms} ms) ends a "
                f"lease of {self.lease_ttl_ms} ms less {self.lease_margin_ms} ms.",
                hint="Renew at a third of the TTL and give calls up after another third.",
            )
