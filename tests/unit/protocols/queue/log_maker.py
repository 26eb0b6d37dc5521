"""Makes the log of a shard at random, and notes as it goes what each entry means to history.

It decides only what rows may follow; that they fit is seen to by the task table. The notes are taken where a row is
made, so they owe nothing to the fold under test. `lose_tail` is a power cut: the last entries are gone, and what comes
next uses their sequences again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ohmesh.model.agent import AgentSpec, Liveness
from ohmesh.model.task import Submission, TaskFailure, TaskState
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.snapshot import encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable

START_MS = 1_750_000_000_000
AGENTS = ("host-1/text", "host-2/text")

End = tuple[str, str, int, bytes]
"""task id, final state, when, result."""


@dataclass
class Made:
    """One entry: its bytes, the ends it tells of, and the kinds of its happenings (dead letters and hosts by name)."""

    data: bytes
    ends: list[End] = field(default_factory=list)
    happenings: list[tuple[str, str]] = field(default_factory=list)


class LogMaker:
    def __init__(self, seed: int, *, epoch: int = 1, forgets: bool = True) -> None:
        self.rng = random.Random(seed)
        self.table = TaskTable()
        self.made: list[Made] = []
        self.names = 0
        self.forgets = forgets
        self.open_epoch(epoch)

    @property
    def last(self) -> int:
        return len(self.made)

    @property
    def previous(self) -> bytes:
        return r.digest(self.made[-1].data) if self.made else b""

    def data(self) -> list[bytes]:
        return [each.data for each in self.made]

    def ends(self, first: int = 1) -> list[End]:
        return [end for each in self.made[first - 1 :] for end in each.ends]

    def happenings(self, first: int = 1) -> list[tuple[str, str]]:
        return [each for made in self.made[first - 1 :] for each in made.happenings]

    def open_epoch(self, epoch: int, *, lost_tail: str = "") -> None:
        made = self._append(epoch, [r.EpochStarted(epoch, f"node-{epoch}", self._tick(), lost_tail)])
        made.happenings += [("epoch_started", "log"), ("tail_lost", "log")][: 2 if lost_tail else 1]

    def add(self, entries: int) -> None:
        for _ in range(entries):
            made = Made(b"")
            rows = [row for _ in range(self.rng.randint(1, 4)) for row in self._rows(made)]
            self._append(self.table.epoch, rows, made)

    def add_ghost(self) -> None:
        """A late append of a writer that had been replaced: it fits by its sequence and by nothing else."""
        rows: list[r.Row] = [r.Cancelled(START_MS, ["a task of another time"])]
        frame = r.LogFrame(r.LOG_VERSION, self.table.epoch - 1, 1, b"another time", rows)
        self.made.append(Made(r.encode_log_frame(frame), [], [("ghost_passed", "log")]))

    def snapshot(self) -> tuple[str, bytes]:
        """The blob of the table as it is; call `name` later, as a dispatcher does, to have it stand in the log."""
        key = f"snapshot.0.{self.last:020d}"
        return key, encode_snapshot(self.table, self.last, self.previous)

    def name(self, key: str) -> None:
        row = r.SnapshotTaken(self._tick(), key, int(key.rpartition(".")[2]))
        self.table.apply(row)
        self._append(self.table.epoch, [row]).happenings.append(("snapshot_taken", "log"))

    def lose_tail(self, last: int) -> list[Made]:
        """Back to how it was after entry `last`; returns what is lost."""
        lost = self.made[last:]
        kept = self.made[:last]
        self.table, self.made = TaskTable(), []
        for each in kept:
            frame = r.decode_log_frame(each.data, 0)
            self.table.apply_all(frame.rows if frame.epoch >= self.table.epoch else [])
        self.made = kept
        return lost

    def _append(self, epoch: int, rows: list[r.Row], made: Made | None = None) -> Made:
        made = made or Made(b"")
        if epoch > self.table.epoch:
            self.table.apply_all(rows)
        frame = r.LogFrame(r.LOG_VERSION, epoch, self.rng.getrandbits(63), self.previous, rows)
        made.data = r.encode_log_frame(frame)
        self.made.append(made)
        return made

    def _tick(self) -> int:
        return max(self.table.time_ms, START_MS) + self.rng.randint(0, 20)

    def _rows(self, made: Made) -> list[r.Row]:
        often = [self._submit, self._grant, self._succeed]
        seldom = [self._fail, self._return, self._cancel, self._release, self._host, self._forget]
        return self.rng.choice([*often, *often, *seldom])(made)

    def _decide(self, row: r.Row) -> list[r.Row]:
        self.table.apply(row)
        return [row]

    def _submit(self, made: Made) -> list[r.Row]:
        names = range(self.names, self.names + self.rng.randint(1, 5))
        self.names = names.stop
        tasks = [Submission(f"T{name:05d}", self.rng.choice(["text", "image"]), b"payload") for name in names]
        return self._decide(r.Submitted(self._tick(), tasks))

    def _grant(self, made: Made) -> list[r.Row]:
        waiting = (TaskState.QUEUED, TaskState.RETRYING)
        ids = [task.task_id for task in self.table.tasks.values() if task.state in waiting and not task.lease]
        ids = ids[: self.rng.randint(1, 4)]
        agent = self.rng.choice(AGENTS)
        row = r.Granted(self._tick(), agent, self.table.next_lease, 30_000, ids)
        return self._decide(row) if ids else []

    def _running(self, most: int) -> list[int]:
        return [lease for lease, task in self.table.leases.items() if task.state is TaskState.RUNNING][:most]

    def _succeed(self, made: Made) -> list[r.Row]:
        leases, at_ms = self._running(self.rng.randint(1, 4)), self._tick()
        values = [self.rng.randbytes(4) for _ in leases]
        ids = [self.table.leases[lease].task_id for lease in leases]
        made.ends += [
            (task_id, "succeeded", at_ms, value) for task_id, value in zip(ids, values, strict=True)
        ]
        return self._decide(r.Succeeded(at_ms, leases, values, [at_ms] * len(leases))) if leases else []

    def _fail(self, made: Made) -> list[r.Row]:
        rows: list[r.Row] = []
        for lease in self._running(1):
            at_ms, state = (
                self._tick(),
                self.rng.choice([TaskState.RETRYING, TaskState.DEAD, TaskState.FAILED]),
            )
            if state is not TaskState.RETRYING:
                task_id = self.table.leases[lease].task_id
                made.ends.append((task_id, state.value, at_ms, b""))
                made.happenings.append(("dead_letter", task_id))
            rows += self._decide(r.Failed(at_ms, lease, TaskFailure("ValueError", "no"), state, at_ms + 50))
        return rows

    def _return(self, made: Made) -> list[r.Row]:
        leases = self._running(1)
        return self._decide(r.Returned(self._tick(), leases, "the runner was killed")) if leases else []

    def _cancel(self, made: Made) -> list[r.Row]:
        ended = {task.task_id for task in self.table.finished}
        alive = [task_id for task_id in self.table.tasks if task_id not in ended][-1:]
        at_ms = self._tick()
        made.ends += [(task_id, "cancelled", at_ms, b"") for task_id in alive]
        return self._decide(r.Cancelled(at_ms, alive)) if alive else []

    def _release(self, made: Made) -> list[r.Row]:
        leases = [lease for lease, task in self.table.leases.items() if task.state is TaskState.CANCELLED]
        return self._decide(r.Released(leases)) if leases else []

    def _host(self, made: Made) -> list[r.Row]:
        name, liveness = (
            self.rng.choice(["host-1", "host-2"]),
            self.rng.choice([Liveness.ACTIVE, Liveness.OFFLINE]),
        )
        before = self.table.hosts.get(name)
        was_here = before is not None and before.liveness is Liveness.ACTIVE
        if was_here != (liveness is Liveness.ACTIVE):
            kind = "host_joined" if liveness is Liveness.ACTIVE else "host_offline"
            made.happenings.append((kind, name))
        return self._decide(
            r.HostChanged(self._tick(), name, 1, liveness, [AgentSpec(f"{name}/text", "text")])
        )

    def _forget(self, made: Made) -> list[r.Row]:
        count = 0
        for task in self.table.finished:
            if task.lease:
                break
            count += 1
        count = min(count, self.rng.randint(1, 6))
        return self._decide(r.Forgotten(count)) if count and self.forgets else []
