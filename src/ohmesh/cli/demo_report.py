"""What a demo found out: figures that its client measured, and those that were counted in the raw log."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ohmesh.assembly.audit import Audit
from ohmesh.cli.demo_results import DemoResult, PhotographSeen


class Percentiles(Struct, frozen=True):
    p50: float
    p99: float


class Killed(Struct, frozen=True):
    """`held`: tasks that the log shows as lost with it; `first_ms`, `last_ms`: until they were handed out again."""

    worker: str
    pid: int
    held: int = 0
    first_ms: int = 0
    last_ms: int = 0


class DemoReport(Struct, frozen=True, kw_only=True):
    """`latency_ms` from handing a task in to hearing its end, before the kill; `latency_kill_ms` of all tasks."""

    submitted: int
    succeeded: int
    lost: int
    committed_twice: int
    killed_workers: int
    kinds: list[str]
    killed: list[Killed]
    latency_ms: Percentiles
    latency_kill_ms: Percentiles
    log_entries: int
    log_rows: int
    epochs: int
    results: list[DemoResult]
    photographs: list[PhotographSeen]
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.succeeded == self.submitted and not self.lost and not self.committed_twice

    def lines(self) -> list[str]:
        """For people."""
        latency, kill = self.latency_ms, self.latency_kill_ms
        verdict = f"lost {self.lost}, committed twice {self.committed_twice}"
        return [
            *(f"   {one.label:<8} {one.score:+.2f}  {one.sentence[:76]}" for one in self.results),
            *(f"   {one.name:<13}  {one.seen}" for one in self.photographs),
            f"latency   p50 {latency.p50} ms, p99 {latency.p99} ms in quiet; p99 {kill.p99} ms with the kill",
            *(
                f"killed    {one.worker} (pid {one.pid}) held {one.held} tasks; they were handed out again after "
                f"{one.first_ms} to {one.last_ms} ms"
                for one in self.killed
            ),
            f"raw log   {self.log_rows} rows in {self.log_entries} entries, {self.epochs} epochs",
            f"submitted {self.submitted}, succeeded {self.succeeded}, {verdict}   ({self.seconds} s)",
        ]


def killed_as_logged(audit: Audit, worker: str, pid: int, *, killed_ms: int) -> Killed:
    """What the log says of a kill: attempts of that worker that were given up for lost after it."""
    orphans = [
        attempt
        for attempt in audit.attempts.values()
        if attempt.was_lost
        and attempt.agent.startswith(f"{worker}/")
        and attempt.granted_ms <= killed_ms <= attempt.ended_ms
    ]
    waits_ms = [audit.regranted_ms(orphan.task_id, orphan.granted_ms) - killed_ms for orphan in orphans]
    return Killed(worker, pid, len(orphans), min(waits_ms, default=0), max(waits_ms, default=0))


def percentiles(values_ms: Sequence[float]) -> Percentiles:
    ordered = sorted(values_ms)
    if not ordered:
        return Percentiles(0.0, 0.0)
    at = [ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] for percent in (50, 99)]
    return Percentiles(round(at[0], 1), round(at[1], 1))
