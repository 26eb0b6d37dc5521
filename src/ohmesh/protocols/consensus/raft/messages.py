"""What travels between members, and what each of them must store before it speaks.

Entries carry no index of their own: an append names the index before its first. Terms and indices start at 1; 0 is
"none yet". Source: Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm, 2014, figure 2.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from ohmesh.protocols.consensus.raft.configuration import Configuration


class EntryKind(IntEnum):
    COMMAND = 0  # for the state machine
    CONFIGURATION = 1  # counts from the moment it stands in a log
    BLANK = 2  # of a new leader, so that it may commit what it inherited


class Entry(Struct, array_like=True, frozen=True):
    term: int
    data: bytes = b""
    kind: EntryKind = EntryKind.COMMAND


class HardState(Struct, array_like=True, frozen=True):
    """Stored before anything that rests on it is said. `vote` is empty where none was given in this term."""

    term: int = 0
    vote: str = ""


class Snapshot(Struct, array_like=True, frozen=True):
    """The state machine after `index`, and who counted then."""

    index: int
    term: int
    configuration: Configuration
    data: bytes = b""


class VoteRequest(Struct, array_like=True, frozen=True, tag="vote?"):
    """`is_trial`: would you vote for me in `term`? Nobody's term rises by it (thesis 9.6). `is_handover`: the leader
    itself asked for this election, so nobody holds to it (thesis 3.10)."""

    term: int
    last_index: int
    last_term: int
    is_trial: bool = False
    is_handover: bool = False


class VoteReply(Struct, array_like=True, frozen=True, tag="vote"):
    """A granted trial names the term that was asked for, a refusal the voter's own."""

    term: int
    is_granted: bool
    is_trial: bool = False


class Append(Struct, array_like=True, frozen=True, tag="append"):
    term: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...]
    commit: int


class AppendReply(Struct, array_like=True, frozen=True, tag="appended"):
    """Accepted: the follower's log agrees up to `match` and has it on disk. Refused: it may agree up to `match` at
    most, where its own term is `match_term`; `previous_index` says which append is meant."""

    term: int
    match: int
    is_refused: bool = False
    previous_index: int = 0
    match_term: int = 0


class Heartbeat(Struct, array_like=True, frozen=True, tag="beat"):
    """`commit` is never above what this follower is known to have. `round` counts the leader's beats."""

    term: int
    commit: int
    round: int


class HeartbeatReply(Struct, array_like=True, frozen=True, tag="heard"):
    term: int
    round: int


class InstallSnapshot(Struct, array_like=True, frozen=True, tag="snapshot"):
    term: int
    snapshot: Snapshot


class CampaignNow(Struct, array_like=True, frozen=True, tag="campaign"):
    """The leader hands over: the receiver begins an election at once."""

    term: int


Message = (
    VoteRequest
    | VoteReply
    | Append
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | InstallSnapshot
    | CampaignNow
)


class Addressed(Struct, array_like=True, frozen=True):
    to: str
    message: Message
