"""One server of a simulated group: a machine, a disk that takes its time, a register per key.

The disk does what real ones do: what was not synced when the server died is gone. A driver's own planted bugs are
subclasses that override one method (planted.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from msgspec import Struct

from ohmesh.protocols.consensus.raft.member import RaftMember, Ready, Stored
from ohmesh.protocols.consensus.raft.messages import Addressed, Entry, EntryKind, HardState, Message, Snapshot
from ohmesh.protocols.consensus.raft.rules import Rules
from ohmesh.protocols.consensus.raft.state import RaftSettings, Role
from ohmesh.simulator.linearizability import Act
from ohmesh.simulator.machines import MachineWorld, Network

SETTINGS = RaftSettings(election_timeout_ms=150, heartbeat_ms=30, trail_entries=3)


class Command(Struct, array_like=True):
    """`id` is unique, so that an answer finds who waits for it."""

    id: int
    key: str
    act: Act
    value: int | None
    expected: int | None


@dataclass(slots=True)
class Outcome:
    """What a client hears; `is_lost`: nothing is known."""

    value: int | None = None
    is_done: bool = True
    is_lost: bool = False


Answer = Callable[[Outcome], None]


@dataclass(slots=True)
class Disk:
    snapshot: Snapshot
    hard: HardState = field(default_factory=HardState)
    first: int = 1
    entries: list[Entry] = field(default_factory=list)

    def store(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.snapshot, self.first, self.entries = ready.snapshot, ready.snapshot.index + 1, []
        if ready.hard is not None:
            self.hard = ready.hard
        del self.entries[ready.first_index - self.first :]
        self.entries += ready.entries

    def compact(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        del self.entries[: max(0, snapshot.index + 1 - self.first)]
        self.first = max(self.first, snapshot.index + 1)

    def load(self) -> Stored:
        return Stored(self.snapshot, self.hard, self.entries[self.snapshot.index + 1 - self.first :])


_encode = msgspec.msgpack.Encoder().encode
_decode_command = msgspec.msgpack.Decoder(Command).decode
_decode_registers = msgspec.msgpack.Decoder(dict[str, int]).decode


class Server:
    compact_every = 12

    def __init__(self, name: str, world: MachineWorld, network: Network, voters: tuple[str, ...]) -> None:
        self.id, self.world, self.network = name, world, network
        self.rules, self.settings = Rules(), SETTINGS
        self.sync_ms = 5.0
        self.disk = Disk(Stored.newborn(voters).snapshot)
        self.peers: dict[str, Server] = {}
        self.on_apply: Callable[[Server, int, Entry], None] = lambda *_: None
        self.on_event: Callable[[Server], None] = lambda _: None
        self.on_restore: Callable[[Server], None] = lambda _: None
        self.is_up = self.is_paused = False
        self.life = 0
        self._held: list[Callable[[], None]] = []

    # -- its life

    def start(self) -> None:
        self.life += 1
        self.is_up, self.is_paused, self.is_new = True, False, True
        self._held.clear()
        self.registers: dict[str, int] = {}
        self.applied = 0
        self._waiting: dict[int, tuple[Command, Answer]] = {}
        self._reads: dict[int, tuple[str, Answer]] = {}
        self._due_reads: list[tuple[int, int]] = []
        self._storing = False
        stored = self.disk.load()
        self._restore(stored.snapshot)
        self.raft = RaftMember(self.id, stored, self.world.rng.randrange, self.settings, self.rules)
        self._tick(self.life)

    def crash(self) -> None:
        self.is_up = self.is_paused = False
        self.life += 1

    def pause(self) -> None:
        self.is_paused = self.is_up

    def resume(self) -> None:
        self.is_paused = False
        held, self._held = self._held, []
        for act in held:
            act()

    def _alive(self, life: int, act: Callable[[], None]) -> None:
        """Do it, if this is still the same life; later, if it stands still now."""
        if life != self.life or not self.is_up:
            return
        if self.is_paused:
            self._held.append(partial(self._alive, life, act))
            return
        act()

    def _tick(self, life: int) -> None:
        self.raft.tick(int(self.world.now_ms))
        self._go_on()
        at_ms = min(max(self.raft.due_ms, self.world.now_ms + 1), self.world.now_ms + 50)
        self.world.at(at_ms, partial(self._alive, life, partial(self._tick, life)))

    # -- what comes in

    def hear(self, source: str, message: Message) -> None:
        self._alive(self.life, partial(self._hear, source, message))

    def _hear(self, source: str, message: Message) -> None:
        self.raft.receive(source, message, int(self.world.now_ms))
        self._go_on()

    def ask(self, command: Command, answer: Answer, refuse: Callable[[str], None]) -> None:
        """A client's call arrives; `refuse` names the leader, if one is known."""
        self._alive(self.life, partial(self._ask, command, answer, refuse))

    def _ask(self, command: Command, answer: Answer, refuse: Callable[[str], None]) -> None:
        if command.act is Act.READ:
            read_id = self.raft.read()
            if read_id is None:
                return refuse(self.raft.leader)
            self._reads[read_id] = (command.key, answer)
        else:
            if self.raft.propose(_encode(command)) is None:
                return refuse(self.raft.leader)
            self._waiting[command.id] = (command, answer)
        self._go_on()
        return None

    # -- what the machine wants done

    def _go_on(self) -> None:
        self.on_event(self)
        if self._storing or not self.raft.has_ready:
            return
        ready = self.raft.take()
        self._send(ready.urgent)
        needs_disk = ready.hard is not None or ready.entries or ready.snapshot is not None
        self._storing = True
        if needs_disk:
            self.sync(ready)
        else:
            self._finish(ready)

    def sync(self, ready: Ready) -> None:
        delay_ms = self.world.rng.uniform(0.1, self.sync_ms)
        self.world.after(delay_ms, partial(self._alive, self.life, partial(self._stored, ready)))

    def _stored(self, ready: Ready) -> None:
        self.disk.store(ready)
        self._finish(ready)

    def _finish(self, ready: Ready) -> None:
        self._storing = False
        self._send(ready.messages)
        if ready.snapshot is not None:
            self._restore(ready.snapshot)
            self.on_restore(self)
        for index, entry in ready.committed:
            self._apply(index, entry)
        self._due_reads += [(read.id, read.index) for read in ready.reads]
        for read_id in ready.lost_reads:
            self._reads.pop(read_id)[1](Outcome(is_lost=True))
        self._answer_reads()
        self.raft.stored(ready, int(self.world.now_ms))
        self._compact()
        self._go_on()

    def _send(self, messages: object) -> None:
        assert isinstance(messages, list)
        each: Addressed
        for each in messages:
            peer = self.peers.get(each.to)
            if peer is not None:
                self.network.send(self.id, each.to, partial(peer.hear, self.id, each.message))

    # -- the state machine

    def _apply(self, index: int, entry: Entry) -> None:
        assert index == self.applied + 1, f"{self.id} applied {self.applied} and then {index}"
        self.applied = index
        self.on_apply(self, index, entry)
        if entry.kind is not EntryKind.COMMAND:
            return
        command = _decode_command(entry.data)
        present = self.registers.get(command.key)
        outcome = Outcome(is_done=command.act is Act.WRITE or present == command.expected)
        if outcome.is_done and command.value is not None:
            self.registers[command.key] = command.value
        if command.id in self._waiting:
            self._waiting.pop(command.id)[1](outcome)

    def _answer_reads(self) -> None:
        ready = [each for each in self._due_reads if each[1] <= self.applied]
        self._due_reads = [each for each in self._due_reads if each[1] > self.applied]
        for read_id, _ in ready:
            key, answer = self._reads.pop(read_id)
            answer(Outcome(self.registers.get(key)))

    def _restore(self, snapshot: Snapshot) -> None:
        self.registers = _decode_registers(snapshot.data) if snapshot.data else {}
        self.applied = snapshot.index

    def _compact(self) -> None:
        if self.applied - self.raft.log.snapshot.index >= self.compact_every:
            self.disk.compact(self.raft.compact(self.applied, _encode(self.registers)))

    @property
    def leads(self) -> bool:
        return self.is_up and self.raft.role is Role.LEADER
