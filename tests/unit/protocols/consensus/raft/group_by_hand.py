"""Members whose messages a test delivers by hand, so that one sentence of the paper is one short story."""

from __future__ import annotations

from collections.abc import Callable

from ohmesh.protocols.consensus.raft.configuration import Configuration
from ohmesh.protocols.consensus.raft.member import RaftMember, Ready, Stored
from ohmesh.protocols.consensus.raft.messages import Addressed, Entry, EntryKind, HardState, Message, Snapshot
from ohmesh.protocols.consensus.raft.state import RaftSettings, Role

SETTINGS = RaftSettings(election_timeout_ms=1000, heartbeat_ms=100, trail_entries=0)


def member(
    name: str = "a", voters: str = "abc", *, terms: tuple[int, ...] = (), hard: HardState | None = None,
    learners: str = "", random_below: Callable[[int], int] = lambda _: 0,
) -> RaftMember:  # fmt: skip
    """A member whose log has one entry of each of these terms."""
    snapshot = Snapshot(0, 0, Configuration(tuple(voters), (), tuple(learners)))
    entries = [Entry(term, f"{index}".encode()) for index, term in enumerate(terms, 1)]
    stored = Stored(snapshot, hard or HardState(max(terms, default=0)), entries)
    raft = RaftMember(name, stored, random_below, SETTINGS)
    raft.tick(0)
    return raft


def settle(raft: RaftMember, now_ms: int = 0) -> list[Ready]:
    """Do all that the machine wants, as a driver with a fast disk does."""
    done = []
    while raft.has_ready:
        ready = raft.take()
        raft.stored(ready, now_ms)
        done.append(ready)
    return done


def sent(raft: RaftMember, now_ms: int = 0) -> list[Addressed]:
    return [each for ready in settle(raft, now_ms) for each in (*ready.urgent, *ready.messages)]


def messages_to(name: str, addressed: list[Addressed]) -> list[Message]:
    return [each.message for each in addressed if each.to == name]


class ByHand:
    """A whole group; `cut` names those who hear nothing and are not heard."""

    def __init__(self, *members: RaftMember) -> None:
        self.members = {each.id: each for each in members}
        self.now_ms = 0
        self.cut: set[str] = set()
        self.applied: dict[str, list[bytes]] = {each: [] for each in self.members}
        self.reads: dict[str, list[tuple[int, int]]] = {each: [] for each in self.members}
        self.lost_reads: dict[str, list[int]] = {each: [] for each in self.members}

    def deliver(self) -> None:
        """Everything that is to be said, until nobody has anything more to say."""
        while True:
            under_way: list[tuple[str, Addressed]] = []
            for name, raft in self.members.items():
                for ready in settle(raft, self.now_ms):
                    under_way += [(name, each) for each in (*ready.urgent, *ready.messages)]
                    self.applied[name] += [
                        entry.data for _, entry in ready.committed if entry.kind is EntryKind.COMMAND
                    ]
                    self.reads[name] += [(read.id, read.index) for read in ready.reads]
                    self.lost_reads[name] += ready.lost_reads
            if not under_way:
                return
            for source, each in under_way:
                if each.to in self.members and not {source, each.to} & self.cut:
                    self.members[each.to].receive(source, each.message, self.now_ms)

    def pass_ms(self, duration_ms: int, step_ms: int = 50) -> None:
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self.now_ms += step_ms
            for raft in self.members.values():
                raft.tick(self.now_ms)
            self.deliver()

    def elect(self, name: str) -> RaftMember:
        """Let it be the only one whose patience ends."""
        raft = self.members[name]
        self.now_ms = max(self.now_ms, raft.due_ms)
        raft.tick(self.now_ms)
        self.deliver()
        assert raft.role is Role.LEADER, f"{name} is {raft.role} of term {raft.term}"
        return raft
