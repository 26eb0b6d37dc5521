"""What the leader knows of one follower, and how much it may send ahead.

probe       where its log agrees is not known: one append at a time
replicate   it is: appends follow each other, at most `limit` unanswered
snapshot    it needs entries that are gone: nothing more until it has the snapshot

Source: etcd-io/raft, design.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class Mode(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(slots=True)
class Progress:
    """match: known to agree and to be on disk there. next: first index to send. heard_round: last beat answered."""

    next: int
    limit: int
    match: int = 0
    mode: Mode = Mode.PROBE
    has_answered: bool = False  # since the leader last counted its quorum
    heard_round: int = 0
    is_waiting: bool = False  # a probe is out
    snapshot_index: int = 0
    given_up_round: int = 0
    unanswered: deque[int] = field(default_factory=deque)

    @property
    def is_paused(self) -> bool:
        if self.mode is Mode.REPLICATE:
            return len(self.unanswered) >= self.limit
        return self.is_waiting or self.mode is Mode.SNAPSHOT

    def sent(self, last_index: int, *, is_empty: bool) -> None:
        if self.mode is Mode.REPLICATE:
            if not is_empty:
                self.next = last_index + 1
                self.unanswered.append(last_index)
        else:
            self.is_waiting = True

    def sent_snapshot(self, index: int, given_up_round: int) -> None:
        self.mode, self.snapshot_index, self.given_up_round = Mode.SNAPSHOT, index, given_up_round
        self.unanswered.clear()

    def accepted(self, match: int) -> bool:
        """Whether that is news."""
        is_news = match > self.match
        self.match = max(self.match, match)
        self.next = max(self.next, match + 1)
        while self.unanswered and self.unanswered[0] <= match:
            self.unanswered.popleft()
        self.is_waiting = False
        if self.mode is Mode.PROBE or (self.mode is Mode.SNAPSHOT and self.match >= self.snapshot_index):
            self.mode = Mode.REPLICATE
            self.next = self.match + 1
        return is_news

    def refused(self, previous_index: int, try_index: int) -> bool:
        """Its log does not agree at `previous_index`. Whether that says anything new: old refusals are passed over."""
        if self.mode is Mode.REPLICATE:
            if previous_index <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.mode is Mode.SNAPSHOT or self.next - 1 != previous_index:
                return False
            self.next = max(min(previous_index, try_index + 1), self.match + 1)
        self.probe()
        return True

    def probe(self) -> None:
        """Nothing that is under way is counted on any longer."""
        self.mode, self.is_waiting, self.snapshot_index = Mode.PROBE, False, 0
        self.unanswered.clear()

    def heard(self, heartbeat_round: int) -> None:
        """An answered beat says that the way is open again: one more append may be tried."""
        self.has_answered = True
        self.heard_round = max(self.heard_round, heartbeat_round)
        if self.mode is Mode.SNAPSHOT and heartbeat_round > self.given_up_round:
            self.probe()
        self.is_waiting = False
        if self.mode is Mode.REPLICATE and len(self.unanswered) >= self.limit:
            self.unanswered.popleft()
