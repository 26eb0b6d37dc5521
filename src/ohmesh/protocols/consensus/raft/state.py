"""All that one member knows, and the few ways in which its role changes.

follower > candidate (trial) > candidate > leader; whoever sees a higher term becomes follower in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from ohmesh.errors import InvalidArgument
from ohmesh.protocols.consensus.raft.configuration import Configuration
from ohmesh.protocols.consensus.raft.log import RaftLog
from ohmesh.protocols.consensus.raft.messages import Addressed, Entry, HardState, Message, Snapshot
from ohmesh.protocols.consensus.raft.progress import Progress
from ohmesh.protocols.consensus.raft.rules import Rules

RandomBelow = Callable[[int], int]
"""rng: an integer in [0, n)."""


class Role(Enum):
    FOLLOWER = "follower"
    TRIAL = "trial candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """broadcast time << election timeout << time between failures (paper 5.6): a beat is a tenth of the timeout,
    and the timeout ten round trips or more. Elections begin after one to two timeouts without a leader."""

    election_timeout_ms: int = 1000
    heartbeat_ms: int = 100
    unanswered_appends: int = 64
    entries_per_append: int = 512
    append_bytes: int = 256 << 10
    uncommitted_bytes: int = 16 << 20
    trail_entries: int = 5_000
    waiting_reads: int = 10_000

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_ms * 2 <= self.election_timeout_ms:
            raise InvalidArgument(
                f"A heartbeat of {self.heartbeat_ms} ms does not fit an election timeout of "
                f"{self.election_timeout_ms} ms.",
                hint="Let the timeout be ten heartbeats; two are the least.",
            )


@dataclass(frozen=True, slots=True)
class Read:
    """A read waits for a majority to have answered beat `round`, and is then answered from `index`."""

    id: int
    index: int
    round: int


@dataclass(slots=True)
class Leadership:
    """What only a leader keeps; it goes with the term."""

    progress: dict[str, Progress]
    round: int = 0
    beat_due_ms: int = 0
    quorum_due_ms: int = 0
    uncommitted_bytes: int = 0
    reads: deque[Read] = field(default_factory=deque)
    early_reads: list[int] = field(default_factory=list)  # asked before an entry of this term was committed
    heir: str = ""
    handover_due_ms: int = 0


@dataclass(slots=True)
class RaftState:
    id: str
    settings: RaftSettings
    rules: Rules
    random_below: RandomBelow
    hard: HardState
    log: RaftLog
    role: Role = Role.FOLLOWER
    leader: str = ""
    heard_ms: int = 0  # the leader last
    election_due_ms: int = 0
    votes: dict[str, bool] = field(default_factory=dict)
    leading: Leadership | None = None
    outbox: list[Addressed] = field(default_factory=list)
    urgent: list[Addressed] = field(default_factory=list)
    readable: list[Read] = field(default_factory=list)
    lost_reads: list[int] = field(default_factory=list)
    received: Snapshot | None = None

    @property
    def term(self) -> int:
        return self.hard.term

    @property
    def configuration(self) -> Configuration:
        return self.rules.in_force(self.log)

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(each for each in self.configuration.everybody if each != self.id)

    @property
    def may_campaign(self) -> bool:
        return self.rules.may_campaign(self.log, self.id)

    def send(self, to: str, message: Message) -> None:
        """Once everything that it rests on is on disk."""
        self.outbox.append(Addressed(to, message))

    def send_now(self, to: str, message: Message) -> None:
        """Entries of a leader may travel while it stores them itself (thesis 10.2.1)."""
        self.urgent.append(Addressed(to, message))

    def wait_for_leader(self, now_ms: int) -> None:
        timeout_ms = self.settings.election_timeout_ms
        self.election_due_ms = now_ms + timeout_ms + self.random_below(timeout_ms)

    def follow(self, term: int, leader: str, now_ms: int) -> None:
        """Become follower in `term`; an unknown leader is empty."""
        if self.leading is not None:
            self.lost_reads += [each.id for each in self.leading.reads]
            self.lost_reads += self.leading.early_reads
            self.leading = None
        if term > self.term:
            self.hard = HardState(term)
        self.role, self.leader = Role.FOLLOWER, leader
        self.votes.clear()
        self.wait_for_leader(now_ms)

    def run_for(self, term: int, *, is_trial: bool, now_ms: int) -> None:
        """Become candidate; a trial raises nobody's term, our own neither."""
        self.role = Role.TRIAL if is_trial else Role.CANDIDATE
        self.leader = ""
        self.votes = {self.id: True}
        if not is_trial:
            self.hard = HardState(term, self.id)
        self.wait_for_leader(now_ms)

    def lead(self, now_ms: int) -> Leadership:
        self.role, self.leader = Role.LEADER, self.id
        self.votes.clear()
        limit = self.settings.unanswered_appends
        self.leading = Leadership(
            progress={other: Progress(self.log.last_index + 1, limit) for other in self.others},
            beat_due_ms=now_ms,
            quorum_due_ms=now_ms + self.settings.election_timeout_ms,
            uncommitted_bytes=sum(
                len(entry.data) for entry in self.log.slice(self.log.committed, self.log.last_index)
            ),
        )
        return self.leading


def entry_bytes(entries: tuple[Entry, ...]) -> int:
    return sum(len(entry.data) for entry in entries)
