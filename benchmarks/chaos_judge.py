"""What really happened to every task, by someone who shares no code with the queue.

    python benchmarks/chaos_judge.py --folder RUN [--json]

Reads the raw streams of the shards from the NATS server that RUN/mesh/runtime.json names, whole and untrimmed, by its
own reading of docs/wire.md, and beside them what the clients and the handlers wrote down during the run:

    tried          `number door`                a wish, written before it was submitted for the first time
    acknowledged   `number task_id door`        fsynced before the client went on
    seen           `task_id state value`        how a client was told that it ended; the value as JSON
    executions     `number token`               appended by the handler itself, once for each time that it ran

A task's arguments begin with the number of the wish; its value is [number, token]. Nothing is taken from the queue's
word: a lease is live from its grant to the row that ends it, and a task is committed when a success of a live lease, a
final failure or a cancellation stands in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import nats

FINAL = {"succeeded", "failed", "dead", "cancelled", "timed_out"}
EPOCH, SUBMITTED, GRANTED, SUCCEEDED, FAILED, RETURNED, CANCELLED, RELEASED = range(1, 9)
REQUEUED = 13
SAY_NOTHING_OF_ENDS = {9, 10, 11, 12, 14, 15}  # hosts, what is forgotten, snapshots, purges, pauses
PAGE = 200

Entry = tuple[int, bytes]


class Unjudgeable(Exception):
    """The evidence is not whole, so nothing can be said."""


@dataclass
class Task:
    task_id: str
    number: int
    state: str = ""
    value: bytes = b""
    commits: int = 0


@dataclass
class Story:
    """What the logs of all shards tell. `faults`: rows that must never stand in a log.

    owners: whose each lease was; live: those that have not ended; held: tasks with a live lease.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    live: dict[int, str] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    epochs: int = 0
    entries: int = 0
    grants: int = 0

    def read(self, log: str, entries: Iterable[Entry]) -> None:
        """One shard's log from its first entry on. Unjudgeable when a part of it is missing."""
        previous, epoch = b"", 0
        for place, (sequence, data) in enumerate(entries, 1):
            if sequence != place:
                raise Unjudgeable(f"{log}: entry {place} is missing, {sequence} is there; it was trimmed")
            version, of_epoch, _, before, rows = cast("list[Any]", msgspec.msgpack.decode(data))[:5]
            if version != 1:
                raise Unjudgeable(f"{log}, entry {sequence}: version {version}")
            if before != previous or of_epoch < epoch:
                self.faults.append(
                    f"{log}, entry {sequence} of epoch {of_epoch} does not follow the one before"
                )
            previous, epoch = hashlib.blake2b(data, digest_size=16).digest(), max(epoch, of_epoch)
            self.entries += 1
            for row in rows:
                self._row(f"{log}, entry {sequence}", row)

    def _row(self, where: str, row: list[Any]) -> None:
        tag = row[0]
        if tag == EPOCH:
            self.epochs += 1
            if len(row) > 4 and row[4]:
                self.faults.append(f"{where}: {row[4]}")
        elif tag == SUBMITTED:
            for task_id, _, payload, *_ in row[2]:
                self._submitted(where, task_id, payload)
        elif tag == GRANTED:
            for place, task_id in enumerate(row[5]):
                self._granted(where, row[3] + place, task_id)
        elif tag == SUCCEEDED:
            for lease, value in zip(row[2], row[3], strict=True):
                self._commit(where, self._ended(where, lease), "succeeded", value)
        elif tag == FAILED:
            task_id = self._ended(where, row[2])
            if row[4] in FINAL:
                self._commit(where, task_id, row[4])
        elif tag == CANCELLED:
            for task_id in row[2]:
                self._commit(where, task_id, "cancelled")
        elif tag in (RETURNED, RELEASED):
            for lease in row[2 if tag == RETURNED else 1]:
                self._ended(where, lease)
        elif tag == REQUEUED:
            self.faults.append(f"{where}: {row[2]} were queued again, which nobody asked for")
        elif tag not in SAY_NOTHING_OF_ENDS:
            raise Unjudgeable(f"{where}: a row of tag {tag}, which this judge cannot read")

    def _submitted(self, where: str, task_id: str, payload: bytes) -> None:
        if task_id in self.tasks:
            self.faults.append(f"{where}: {task_id} was submitted a second time")
            return
        positional, _ = cast("tuple[list[int], object]", msgspec.msgpack.decode(payload))
        self.tasks[task_id] = Task(task_id, positional[0])

    def _granted(self, where: str, lease: int, task_id: str) -> None:
        if task_id not in self.tasks or self.tasks[task_id].state or task_id in self.held:
            self.faults.append(f"{where}: {task_id} was granted although it was not waiting")
        self.owners[lease] = self.live[lease] = task_id
        self.held.add(task_id)
        self.grants += 1

    def _ended(self, where: str, lease: int) -> str:
        """Whose lease it was; a lease ends once."""
        task_id = self.owners.get(lease, "")
        if self.live.pop(lease, None) is None:
            self.faults.append(
                f"{where}: an end was accepted of lease {lease} ({task_id}), which is not live"
            )
        else:
            self.held.discard(task_id)
        return task_id

    def _commit(self, where: str, task_id: str, state: str, value: bytes = b"") -> None:
        task = self.tasks.get(task_id)
        if task is None:
            self.faults.append(f"{where}: {task_id or 'an unknown task'} ended as {state}, but never began")
            return
        task.commits += 1
        task.state, task.value = state, value


@dataclass
class Verdict:
    """`lost`: acknowledged, and not in a final state. `committed_twice`: by the log, or by what clients were told.

    ambiguous: wishes that nobody acknowledged and that are in the log all the same; they count as submitted.
    doubled: wishes that became two tasks. unexplained: results that no handler gave, or that clients saw otherwise.
    """

    submitted: int
    final: int
    lost: int
    committed_twice: int
    extra_executions: int
    ambiguous: int
    doubled: int
    unexplained: int
    faults: int
    by_state: dict[str, int]
    entries: int
    epochs: int
    grants: int
    words: list[str]

    @property
    def is_clean(self) -> bool:
        wrong = self.lost or self.committed_twice or self.doubled or self.unexplained or self.faults
        return not wrong and self.final == self.submitted


def judge(logs: dict[str, Iterable[Entry]], folder: Path) -> Verdict:
    story = Story()
    for name, entries in sorted(logs.items()):
        story.read(name, entries)
    executions = Counter((int(number), token) for number, token in lines_of(folder / "executions"))
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for task_id, state, value in lines_of(folder / "seen"):
        seen[task_id].add((state, value))
    acknowledged = {task_id: int(number) for number, task_id, _ in lines_of(folder / "acknowledged")}
    ids_of: dict[int, set[str]] = defaultdict(set)
    for task in story.tasks.values():
        ids_of[task.number].add(task.task_id)
    for task_id, number in acknowledged.items():
        ids_of[number].add(task_id)
    tried = {int(number) for number, _ in lines_of(folder / "tried")}
    lost = [
        task_id for task_id in acknowledged if task_id not in story.tasks or not story.tasks[task_id].state
    ]
    twice = [task.task_id for task in story.tasks.values() if task.commits > 1]
    twice += [task_id for task_id, ends in seen.items() if len(ends) > 1 and task_id not in twice]
    doubled = [ids for number, ids in ids_of.items() if len(ids) > 1 or number not in tried]
    unexplained = list(unexplained_ends(story, seen, executions))
    submitted = acknowledged.keys() | story.tasks.keys()
    states = Counter(task.state or "not ended" for task in story.tasks.values())
    words = [f"lost: {task_id}, wish {acknowledged[task_id]}" for task_id in lost]
    words += [f"committed twice: {task_id}, seen as {sorted(seen[task_id])}" for task_id in twice]
    words += [f"one wish, not one task: {sorted(ids)}" for ids in doubled]
    return Verdict(
        submitted=len(submitted),
        final=sum(task.state != "" for task in story.tasks.values()),
        lost=len(lost),
        committed_twice=len(twice),
        extra_executions=executions.total() - len({number for number, _ in executions}),
        ambiguous=len(submitted) - len(acknowledged),
        doubled=len(doubled),
        unexplained=len(unexplained),
        faults=len(story.faults),
        by_state=dict(sorted(states.items())),
        entries=story.entries,
        epochs=story.epochs,
        grants=story.grants,
        words=words + unexplained + story.faults,
    )


def unexplained_ends(
    story: Story, seen: dict[str, set[tuple[str, str]]], executions: Counter[tuple[int, str]]
) -> Iterable[str]:
    """A committed value is one that a handler gave for that wish, and the one that clients were told."""
    for task in story.tasks.values():
        value: Any = msgspec.msgpack.decode(task.value) if task.value else None
        if task.state == "succeeded" and (value[0] != task.number or tuple(value) not in executions):
            yield f"no handler gave {value} for {task.task_id}, wish {task.number}"
    for task_id, ends in seen.items():
        task_seen = story.tasks.get(task_id)
        committed = (
            (task_seen.state, msgspec.msgpack.decode(task_seen.value or b"\xc0")) if task_seen else None
        )
        for state, text in ends:
            if committed != (state, json.loads(text)):
                yield f"a client was told that {task_id} {state} with {text}, the log says {committed}"


def lines_of(path: Path) -> Iterable[list[str]]:
    """Words of each line; the last field may not hold spaces. A last line that was cut by a kill is no line."""
    text = path.read_text() if path.exists() else ""
    return [line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines()]


async def read_logs(data: Path) -> dict[str, Iterable[Entry]]:
    """Every entry of every shard's stream, straight from the server."""
    runtime = json.loads((data / "runtime.json").read_text())
    mesh = json.loads((data / "mesh.json").read_text())
    connection = await nats.connect(runtime["url"], nkeys_seed=runtime["seed_file"])
    try:
        stream_manager = connection.jetstream()
        logs: dict[str, Iterable[Entry]] = {}
        for shard in range(mesh["shards"]):
            name = f"ohmesh-log-{mesh['mesh']}-shard-{shard}"
            state = (await stream_manager.stream_info(name)).state
            if state.messages != state.last_seq:
                raise Unjudgeable(
                    f"{name} holds {state.messages} of {state.last_seq} entries; it was trimmed"
                )
            entries: list[Entry] = []
            for first in range(1, state.last_seq + 1, PAGE):
                page = range(first, min(first + PAGE, state.last_seq + 1))
                found = await asyncio.gather(
                    *(stream_manager.get_msg(name, seq, direct=True) for seq in page)
                )
                entries += [(seq, each.data or b"") for seq, each in zip(page, found, strict=True)]
            logs[name] = entries
        return logs
    finally:
        await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        verdict = judge(asyncio.run(read_logs(given.folder / "mesh")), given.folder)
    except Unjudgeable as reason:
        print(f"error: this run cannot be judged: {reason}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(asdict(verdict)))
    else:
        for name, value in asdict(verdict).items():
            print(f"{name:17} {value}")
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
