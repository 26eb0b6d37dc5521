"""History: what a shard's log means to people, as a fold over its entries.

It keeps a replica of the task table (the same `apply` as everybody's) and gathers, entry by entry, a view of each task
as it was in the moment of its end, and a happening for each epoch, lost tail, host come or gone, dead letter and
snapshot. The same entries give the same history, wherever the folding begins and however its stretches are cut:
everything is taken row by row, and times are those of the rows.

Invariants: an entry is checked against the one before it (sequence, digest) before it is applied; one of a lower epoch
is a ghost (a late append of a writer that had been replaced, told to nobody) and is passed over. An entry that does not
follow raises LogCorrupt; when it was applied in part the replica is worth nothing and has to be built anew, but
nothing of it was gathered. A fold that went astray at a broken entry keeps to the chain and applies nothing: it waits
for a row that names a snapshot taken after that entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import msgspec

from ohmesh.errors import LogCorrupt
from ohmesh.model.agent import Liveness
from ohmesh.model.task import DEAD_LETTER_STATES, TaskEdit, TaskView
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.task_record import Task, edited
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.task_view import view

EDIT_CHARS = 2_000
_ENDING = (r.Succeeded, r.Failed, r.Cancelled, r.Opened, r.ItemsCancelled)
_GONE = (Liveness.OFFLINE, Liveness.LEFT)


class Happening(NamedTuple):
    """Something that history keeps beside the ends of tasks."""

    at_ms: int
    kind: str
    subject: str
    detail: str


class Opening(NamedTuple):
    """The entry that began an epoch. `detail` identifies it: as each entry carries the digest of the one before and an
    epoch has one writer, a log that holds the same opening is the same up to there and until its epoch's end."""

    sequence: int
    at_ms: int
    epoch: int
    lost_tail: str
    detail: str


class History:
    """Folds the entries after `sequence`, whose digest is `previous` (None: not known, the next entry is believed)."""

    def __init__(
        self,
        log: str,
        table: TaskTable,
        *,
        sequence: int,
        previous: bytes | None,
        max_attempts: int = 0,
    ) -> None:
        self.log = log
        self.table = table
        table.forgotten.keep_count_only()
        self.sequence = sequence
        self.previous = previous
        self.tasks: list[TaskView] = []
        self.happenings: list[Happening] = []
        self.astray_since = 0
        self.is_doubtful = False
        self.named_snapshot: r.SnapshotTaken | None = None
        self._max_attempts = max_attempts

    def check(self, sequence: int, data: bytes) -> r.LogFrame:
        """Decode the entry and hold it against its predecessor. Raises LogCorrupt."""
        if sequence != self.sequence + 1:
            raise LogCorrupt(f"Log {self.log} goes on at entry {sequence} after entry {self.sequence}.")
        frame = r.decode_log_frame(data, sequence)
        is_ghost = frame.epoch < self.table.epoch
        if not is_ghost and self.previous is not None and frame.previous != self.previous:
            raise LogCorrupt(
                f"Entry {sequence} of log {self.log} does not follow the one before it: it names the digest "
                f"{frame.previous.hex() or 'of no entry'}, entry {self.sequence} has {self.previous.hex() or 'none'}."
            )
        return frame

    def opening(self, sequence: int, data: bytes, frame: r.LogFrame) -> Opening | None:
        """What this entry says if it begins an epoch."""
        first = frame.rows[0] if frame.rows and frame.epoch > self.table.epoch else None
        if not isinstance(first, r.EpochStarted):
            return None
        detail = f"Epoch {first.epoch} of {first.owner} began at entry {sequence} ({r.digest(data).hex()})."
        return Opening(sequence, first.at_ms, first.epoch, first.lost_tail, detail)

    def apply(self, sequence: int, data: bytes, frame: r.LogFrame, *, silent: bool) -> None:
        """Take the checked entry in; `silent`: its history is known already. Sets `named_snapshot` where a row names
        one and this fold is in need of it. Raises LogCorrupt when a row does not fit the table."""
        self.named_snapshot = None
        gathered = len(self.tasks), len(self.happenings)
        try:
            if frame.epoch < self.table.epoch:
                self._pass_ghost(sequence, frame, silent)
            else:
                self._apply(sequence, data, frame, silent=silent)
        except (LogCorrupt, KeyError, IndexError, ValueError) as error:
            del self.tasks[gathered[0] :]
            del self.happenings[gathered[1] :]
            if isinstance(error, LogCorrupt):
                raise
            raise LogCorrupt(
                f"A row of entry {sequence} of log {self.log} does not fit: {error!r}."
            ) from error
        self.sequence = sequence
        self.previous = r.digest(data)

    def stray(self, sequence: int) -> None:
        """Go past an entry that does not follow. Which of the two is wrong is not known, so the next is believed."""
        self.sequence = sequence
        self.previous = None
        self.astray_since = sequence
        self.named_snapshot = None

    def take(self) -> tuple[list[TaskView], list[Happening]]:
        """What has been gathered since the last call."""
        taken = self.tasks, self.happenings
        self.tasks, self.happenings = [], []
        return taken

    def note(self, kind: str, detail: str) -> None:
        """Something happened to the log itself, at the time of its last row."""
        self.happenings.append(Happening(self.table.time_ms, kind, self.log, detail))

    def meet_epoch(self, key: str) -> None:
        """This fold begins in the middle of an epoch whose opening it has not seen."""
        self.note("epoch_met", f"Epoch {self.table.epoch} of {self.table.owner} is met in snapshot {key}.")

    def ended_elsewhere(self, table: TaskTable) -> list[TaskView]:
        """Tasks that have ended in `table` and not, in the same way, in this replica."""
        known = self.table.tasks
        return [
            view(task, self._max_attempts)
            for task in table.finished
            if (own := known.get(task.task_id)) is None or own.finished_ms != task.finished_ms
        ]

    def _apply(self, sequence: int, data: bytes, frame: r.LogFrame, *, silent: bool) -> None:
        if frame.epoch > self.table.epoch:
            self._open_epoch(sequence, data, frame, silent=silent)
        if self.astray_since:
            self._look_for_snapshot(frame.rows)
            return
        for row in frame.rows:
            if isinstance(row, _ENDING):
                self._end_tasks(row, silent)
            elif isinstance(row, r.HostChanged) and not silent:
                self._change_host(row)
            else:
                self._apply_other(row, silent)
        if frame.epoch != self.table.epoch:
            raise LogCorrupt(
                f"Entry {sequence} of log {self.log} is of epoch {frame.epoch}, which no row began."
            )

    def _pass_ghost(self, sequence: int, frame: r.LogFrame, silent: bool) -> None:
        if not silent:
            what = f"Entry {sequence} is a late append of epoch {frame.epoch}, which had been replaced"
            self.note("ghost_passed", f"{what}; it counts for nothing.")

    def _open_epoch(self, sequence: int, data: bytes, frame: r.LogFrame, *, silent: bool) -> None:
        opening = self.opening(sequence, data, frame)
        if opening is None:
            return
        # Who took over may have had a snapshot that is newer than the log's end; it takes a new one at once.
        self.is_doubtful = self.is_doubtful or bool(opening.lost_tail)
        if silent:
            return
        self.happenings.append(Happening(opening.at_ms, "epoch_started", self.log, opening.detail))
        if opening.lost_tail:
            self.happenings.append(Happening(opening.at_ms, "tail_lost", self.log, opening.lost_tail))

    def _end_tasks(self, row: r.Row, silent: bool) -> None:
        finished = self.table.finished
        before = len(finished)
        self.table.apply(row)
        count = len(finished) - before
        if not count:
            return
        ended = [*islice(reversed(finished), count)]
        ended.reverse()
        if not silent:
            max_attempts = self._max_attempts
            self.tasks += [view(task, max_attempts) for task in ended]
            if isinstance(row, r.Failed | r.Opened):
                self.happenings.extend(_dead_letters(ended))
        for task in ended:
            # The view has the result now; a replica of results is nobody's need.
            task.value = b""

    def _change_host(self, row: r.HostChanged) -> None:
        before = self.table.hosts.get(row.host)
        self.table.apply(row)
        was_here = before is not None and before.liveness not in _GONE
        is_here = row.liveness not in _GONE
        has_restarted = is_here and before is not None and before.incarnation != row.incarnation
        if is_here != was_here or has_restarted:
            kind = "host_joined" if is_here else f"host_{row.liveness.value}"
            detail = (
                f"Incarnation {row.incarnation}, pid {row.pid}, {len(row.agents)} agents; in log {self.log}."
            )
            self.happenings.append(Happening(row.at_ms, kind, row.host, detail))

    def _apply_other(self, row: r.Row, silent: bool) -> None:
        if isinstance(row, r.Requeued) and row.edit is not None and not silent:
            self.happenings.extend(_edits(self.table, row, row.edit))
        self.table.apply(row)
        if isinstance(row, r.SnapshotTaken):
            if self.is_doubtful:
                self.named_snapshot = row
            if not silent:
                what = f"Blob {row.key} holds the table after entry {row.sequence}."
                self.happenings.append(Happening(row.at_ms, "snapshot_taken", self.log, what))

    def _look_for_snapshot(self, rows: Iterable[r.Row]) -> None:
        for row in rows:
            if isinstance(row, r.SnapshotTaken) and row.sequence >= self.astray_since:
                self.named_snapshot = row


def _edits(table: TaskTable, row: r.Requeued, edit: TaskEdit) -> Iterable[Happening]:
    for task_id in row.task_ids:
        task = table.known(task_id)
        submission, (*_, former) = edited(task, edit, row.at_ms)
        said = [f"{len(task.failures)} failure{'' if len(task.failures) == 1 else 's'} before"]
        if edit.payload is not None:
            said.append(f"arguments {_readable(submission.payload)}, before {_readable(former.payload)}")
        if edit.priority is not None:
            said.append(f"priority {submission.priority}, before {former.priority}")
        if edit.timeout_ms is not None:
            said.append(f"timeout {submission.timeout_ms} ms, before {former.timeout_ms} ms")
        yield Happening(row.at_ms, "dead_letter_edited", task_id, "; ".join(said))


def _readable(payload: bytes) -> str:
    try:
        text = msgspec.json.encode(msgspec.msgpack.decode(payload)).decode()
    except (msgspec.MsgspecError, TypeError, ValueError):
        return f"of {len(payload)} bytes"
    return text if len(text) <= EDIT_CHARS else f"{text[:EDIT_CHARS]}... ({len(payload)} bytes)"


def _dead_letters(ended: list[Task]) -> Iterable[Happening]:
    for task in ended:
        if task.state in DEAD_LETTER_STATES:
            failure = task.failures[-1] if task.failures else None
            why = f"{failure.kind}: {failure.message}" if failure else "no reason was given"
            detail = f"{task.submission.kind} {task.state.value} after {task.attempts + task.losses} attempts: {why}"
            yield Happening(task.finished_ms, "dead_letter", task.task_id, detail)
