"""One member of a Raft group, as a machine without disk, network or clock.

    raft.receive(source, message, now_ms)   raft.tick(now_ms)   raft.propose(data)   raft.read()   raft.change(...)
    ready = raft.take()

The driver does what `ready` says, in this order: send `urgent`; store `snapshot`, then `hard`, then `entries` behind
`first_index - 1` (what stood there goes), all on disk; send `messages`; restore from `snapshot`, apply `committed`;
answer `reads` once it has applied their index; `raft.stored(ready)`. It asks again while `raft.has_ready`, and ticks
at `raft.due_ms` at the latest. After a start it hands in what it had stored. Who does not lead proposes, reads and
changes nothing: these give None, and `raft.leader` says whom to ask.

Sources: paper (Ongaro and Ousterhout 2014), thesis (Ongaro 2014); the division of labour is etcd-io/raft's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.protocols.consensus.raft import election, handover, reading, replication
from ohmesh.protocols.consensus.raft.configuration import Configuration, encode_configuration
from ohmesh.protocols.consensus.raft.log import RaftLog
from ohmesh.protocols.consensus.raft.messages import (
    Addressed,
    Append,
    AppendReply,
    CampaignNow,
    Entry,
    EntryKind,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    Snapshot,
    VoteReply,
    VoteRequest,
)
from ohmesh.protocols.consensus.raft.rules import Rules
from ohmesh.protocols.consensus.raft.state import RaftSettings, RaftState, RandomBelow, Read, Role

NEVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Place:
    """A command stands where it was put if the entry committed at `index` is of `term`, and nowhere otherwise."""

    index: int
    term: int


@dataclass(frozen=True, slots=True)
class Ready:
    """What to do now, in the order of the module's head. `hard` is None where it stands on disk as it is."""

    urgent: Sequence[Addressed]
    snapshot: Snapshot | None
    hard: HardState | None
    first_index: int
    entries: Sequence[Entry]
    messages: Sequence[Addressed]
    committed: Sequence[tuple[int, Entry]]
    reads: Sequence[Read]
    lost_reads: Sequence[int]
    last: Place  # of the log, as stored


@dataclass(frozen=True, slots=True)
class Stored:
    """What a member finds on its disk; a new one is born with the first configuration as snapshot 0."""

    snapshot: Snapshot
    hard: HardState = field(default_factory=HardState)
    entries: Sequence[Entry] = ()

    @classmethod
    def newborn(cls, voters: Collection[str]) -> Stored:
        return cls(Snapshot(0, 0, Configuration(tuple(sorted(voters)))))


class RaftMember:
    """random_below: the rng, an integer in [0, n). A member waits for a leader from its first tick on."""

    def __init__(
        self,
        name: str,
        stored: Stored,
        random_below: RandomBelow,
        settings: RaftSettings,
        rules: Rules | None = None,
    ) -> None:
        log = RaftLog(stored.snapshot, stored.entries)
        self._state = RaftState(name, settings, rules or Rules(), random_below, stored.hard, log)
        self._stored_hard = stored.hard
        self._next_read = 1

    @property
    def id(self) -> str:
        return self._state.id

    @property
    def role(self) -> Role:
        return self._state.role

    @property
    def term(self) -> int:
        return self._state.term

    @property
    def vote(self) -> str:
        return self._state.hard.vote

    @property
    def leader(self) -> str:
        """Empty while none is known."""
        return self._state.leader

    @property
    def log(self) -> RaftLog:
        return self._state.log

    @property
    def due_ms(self) -> int:
        state = self._state
        if state.leading is None:
            return state.election_due_ms if state.may_campaign else NEVER_MS
        return min(state.leading.beat_due_ms, state.leading.quorum_due_ms)

    def tick(self, now_ms: int) -> None:
        state, leading = self._state, self._state.leading
        if leading is None:
            if not state.election_due_ms:
                state.wait_for_leader(now_ms)
            if now_ms >= state.election_due_ms and state.may_campaign:
                election.campaign(state, now_ms)
            return
        if leading.heir and now_ms >= leading.handover_due_ms:
            handover.give_up(leading)
        if now_ms >= leading.quorum_due_ms:
            election.check_quorum(state, leading, now_ms)
        if state.leading is leading and now_ms >= leading.beat_due_ms:
            replication.beat(state, leading, now_ms)

    def receive(self, source: str, message: Message, now_ms: int) -> None:
        """Whatever comes, from whom, however late or often."""
        state = self._state
        if message.term > state.term:
            if not self._accept_term(source, message, now_ms):
                return
        elif message.term < state.term:
            self._answer_old(source, message)
            return
        match message:
            case VoteRequest():
                election.on_request(state, source, message, now_ms)
            case VoteReply():
                election.on_reply(state, source, message, now_ms)
            case Append() | Heartbeat() | InstallSnapshot():
                self._hear_leader(source, message, now_ms)
            case AppendReply() if state.leading:
                replication.on_append_reply(state, state.leading, source, message)
                if state.leading.heir == source:
                    handover.go_on(state, state.leading)
            case HeartbeatReply() if state.leading:
                replication.on_heartbeat_reply(state, state.leading, source, message)
            case CampaignNow() if state.may_campaign and not state.leading:
                election.campaign(state, now_ms, is_trial=False, is_handover=True)
            case _:
                pass  # an answer to who led once

    def propose(self, data: bytes) -> Place | None:
        """Where the command will stand, if it is committed."""
        state, leading = self._state, self._state.leading
        if leading is None or leading.heir:
            return None
        if (
            leading.uncommitted_bytes
            and leading.uncommitted_bytes + len(data) > state.settings.uncommitted_bytes
        ):
            raise Backpressure(
                f"{leading.uncommitted_bytes} bytes wait to be committed by a majority.",
                retry_after_ms=state.settings.heartbeat_ms,
            )
        return Place(replication.add_entries(state, leading, Entry(state.term, data)), state.term)

    def read(self) -> int | None:
        """An id that comes back in `Ready.reads` with the index to read at, or in `Ready.lost_reads`."""
        state, leading = self._state, self._state.leading
        if leading is None:
            return None
        if len(leading.reads) + len(leading.early_reads) >= state.settings.waiting_reads:
            raise Backpressure("Too many reads wait.", retry_after_ms=state.settings.heartbeat_ms)
        read_id, self._next_read = self._next_read, self._next_read + 1
        reading.begin(state, leading, read_id)
        return read_id

    def change(self, voters: Collection[str], learners: Collection[str] = ()) -> Place | None:
        """Let these be the members from now on. Gives where the joint configuration stands; its commit brings the
        settled one."""
        state, leading = self._state, self._state.leading
        if leading is None or leading.heir:
            return None
        if not state.rules.may_change(state.log):
            raise Backpressure(
                "The change of members before this one is not committed.",
                retry_after_ms=state.settings.heartbeat_ms,
            )
        joint = encode_configuration(state.configuration.towards(voters, learners))
        entry = Entry(state.term, joint, EntryKind.CONFIGURATION)
        return Place(replication.add_entries(state, leading, entry), state.term)

    def hand_over(self, heir: str, now_ms: int) -> bool:
        """Whether it begins: only a leader can. It ends when the heir leads, or after an election timeout."""
        state, leading = self._state, self._state.leading
        if leading is None:
            return False
        if heir not in leading.progress or not state.configuration.has_voter(heir):
            raise InvalidArgument(f"{heir} is no other voter of this group.", hint="Name one that votes.")
        handover.begin(state, leading, heir, now_ms)
        return True

    def compact(self, index: int, data: bytes) -> Snapshot:
        """The state machine at `index`, to be stored by the driver before entries before it are deleted there."""
        return self._state.log.compact(index, data, trail=self._state.settings.trail_entries)

    @property
    def has_ready(self) -> bool:
        state = self._state
        return bool(
            state.urgent or state.outbox or state.received or state.readable or state.lost_reads
            or state.hard != self._stored_hard or state.log.stable < state.log.last_index
            or self._applicable > state.log.applied
        )  # fmt: skip

    def take(self) -> Ready:
        state, log = self._state, self._state.log
        snapshot, state.received = state.received, None
        if snapshot is not None:
            log.applied = max(log.applied, snapshot.index)
        first = log.stable + 1
        committed = log.slice(log.applied, self._applicable)
        ready = Ready(
            urgent=state.urgent, snapshot=snapshot, hard=None if state.hard == self._stored_hard else state.hard,
            first_index=first, entries=log.slice(log.stable, log.last_index), messages=state.outbox,
            committed=list(enumerate(committed, log.applied + 1)), reads=state.readable,
            lost_reads=state.lost_reads, last=Place(log.last_index, log.last_term),
        )  # fmt: skip
        log.applied += len(committed)
        self._stored_hard = state.hard
        state.urgent, state.outbox, state.readable, state.lost_reads = [], [], [], []
        return ready

    def stored(self, ready: Ready, now_ms: int) -> None:
        """All of `ready` is on disk."""
        state, last = self._state, ready.last
        if state.log.term_at(last.index) == last.term:
            state.log.stable = max(state.log.stable, last.index)
        if state.leading is not None:
            replication.advance_commit(state, state.leading)
        self._leave_if_removed(now_ms)

    @property
    def _applicable(self) -> int:
        return min(self._state.log.committed, self._state.log.stable)

    def _accept_term(self, source: str, message: Message, now_ms: int) -> bool:
        """Step up to a later term, unless it is only a question or comes from somebody whom nobody should heed."""
        state = self._state
        if isinstance(message, VoteRequest):
            since_ms = now_ms - state.heard_ms if state.leading is None else 0
            is_bound = state.rules.holds_to_leader(state.leader, since_ms, state.settings.election_timeout_ms)
            if is_bound and not message.is_handover:
                return False
            if message.is_trial:
                return True
        if isinstance(message, VoteReply) and message.is_trial and message.is_granted:
            return True
        speaks_as_leader = isinstance(message, Append | Heartbeat | InstallSnapshot)
        state.follow(message.term, source if speaks_as_leader else "", now_ms)
        return True

    def _answer_old(self, source: str, message: Message) -> None:
        """Tell a leader or a candidate of the past which term it is, or it would go on for ever."""
        state = self._state
        if isinstance(message, Append | Heartbeat | InstallSnapshot):
            state.send(source, HeartbeatReply(state.term, 0))
        elif isinstance(message, VoteRequest) and message.is_trial:
            state.send(source, VoteReply(state.term, False, True))

    def _hear_leader(self, source: str, message: Append | Heartbeat | InstallSnapshot, now_ms: int) -> None:
        state = self._state
        assert state.leading is None, f"{source} and {state.id} both lead term {state.term}"
        if state.role is not Role.FOLLOWER or state.leader != source:
            state.follow(state.term, source, now_ms)
        state.heard_ms = now_ms
        state.wait_for_leader(now_ms)
        match message:
            case Append():
                replication.on_append(state, source, message)
            case Heartbeat():
                replication.on_heartbeat(state, source, message)
            case InstallSnapshot():
                replication.on_snapshot(state, source, message)

    def _leave_if_removed(self, now_ms: int) -> None:
        """A leader that the settled configuration no longer names steps down once that is committed (paper 6)."""
        state = self._state
        log = state.log
        is_settled = log.configuration_index <= log.committed and not log.configuration.is_joint
        if state.leading is not None and is_settled and not log.configuration.has_voter(state.id):
            handover.take_leave(state, state.leading)
            state.follow(state.term, "", now_ms)
