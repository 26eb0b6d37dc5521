"""Bugs planted into the group: each breaks one rule, and the simulator has to find it out.

A harness that finds no planted bug proves nothing. `seed` is the first that killed it; `python -m
tests.simulation.raft.replay --planted NAME` looks for it anew. Most were made by others before: the names of their
trackers' entries stand in the comments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from ohmesh.protocols.consensus.raft.configuration import Configuration
from ohmesh.protocols.consensus.raft.log import RaftLog
from ohmesh.protocols.consensus.raft.member import Ready
from ohmesh.protocols.consensus.raft.messages import Append, Entry, HardState, Snapshot, VoteRequest
from ohmesh.protocols.consensus.raft.rules import Rules
from tests.simulation.raft.server import Command, Outcome, Server


class VotesTwice(Rules):
    def may_vote(self, hard: HardState, leader: str, source: str, request: VoteRequest) -> bool:
        return request.term > hard.term if request.is_trial else request.term == hard.term


class IgnoresTheLogOfACandidate(Rules):
    def is_up_to_date(self, log: RaftLog, last_term: int, last_index: int) -> bool:
        return True


class ComparesLengthsAlone(Rules):
    def is_up_to_date(self, log: RaftLog, last_term: int, last_index: int) -> bool:
        return last_index >= log.last_index


class CampaignsOnlyWhereItCounts(Rules):
    """Made here: a leader died that was to be left out, and nobody else had a log long enough to be elected."""

    def may_campaign(self, log: RaftLog, member: str) -> bool:
        return self.in_force(log).has_voter(member)


class HeedsAConfigurationOnceItIsCommitted(Rules):
    """etcd 12359 and others: two majorities that need not overlap."""

    def in_force(self, log: RaftLog) -> Configuration:
        return log.committed_configuration


class IgnoresTheTermBefore(Rules):
    def follows(self, log: RaftLog, append: Append) -> bool:
        return log.term_at(append.previous_index) is not None


class KeepsWhatConflicts(Rules):
    def is_conflict(self, log: RaftLog, index: int, entry: Entry) -> bool:
        return index > log.last_index


class CommitsEarlierTermsByCounting(Rules):
    def may_commit(self, log: RaftLog, index: int, term: int) -> bool:
        return index > log.committed


class CountsLearners(Rules):
    def agreed_index(self, configuration: Configuration, match: Mapping[str, int]) -> int:
        all_of_them = structs.replace(configuration, voters=configuration.voters + configuration.learners)
        return all_of_them.agreed_index(match)


class ForgetsTheOutgoingMajority(Rules):
    def agreed_index(self, configuration: Configuration, match: Mapping[str, int]) -> int:
        return configuration.settled().agreed_index(match)


class NeedsNoMajority(Rules):
    def agreed_index(self, configuration: Configuration, match: Mapping[str, int]) -> int:
        return max(match.get(each, 0) for each in configuration.voters)


class ReadsBeforeItsFirstCommit(Rules):
    def may_serve_reads(self, log: RaftLog, term: int) -> bool:
        return True


class LateDisk(Server):
    def _store_if(self, life: int, ready: Ready) -> None:
        if self.life == life:
            self.disk.store(ready)


class ForgetsItsVote(Server):
    """PySyncObj 202: the vote was not stored."""

    def _stored(self, ready: Ready) -> None:
        hard = ready.hard and HardState(ready.hard.term)
        super()._stored(replace(ready, hard=hard))


class ForgetsItsTerm(Server):
    def _stored(self, ready: Ready) -> None:
        super()._stored(replace(ready, hard=None))


class SpeaksBeforeItsDisk(Server):
    """etcd 4765: an ack is sent while the entries are being written."""

    def sync(self, ready: Ready) -> None:
        self._send(ready.messages)
        super().sync(replace(ready, messages=[]))


class CountsItselfBeforeItsDisk(LateDisk):
    """etcd 14370: the leader counts itself before it has synced."""

    def sync(self, ready: Ready) -> None:
        if not self.leads:
            super().sync(ready)
            return
        life = self.life
        self.world.after(self.world.rng.uniform(0.1, 60.0), partial(self._store_if, life, ready))
        self._finish(ready)


class SyncsTooLate(LateDisk):
    """nats-server 7564: written, acknowledged, and synced some time later."""

    def _stored(self, ready: Ready) -> None:
        life = self.life
        self.world.after(40.0, partial(self._store_if, life, ready))
        self._finish(ready)


class LeavesTheOldTail(Server):
    """What stood behind an overwritten entry is kept on disk, and is back after a restart."""

    def _stored(self, ready: Ready) -> None:
        old = self.disk.entries[ready.first_index - self.disk.first + len(ready.entries) :]
        self.disk.store(ready)
        if ready.entries and ready.snapshot is None:
            self.disk.entries += old
        self._finish(ready)


class ReadsWithoutAQuorum(Server):
    """etcd 20418: a leader that was stopped answers a read from what it knew before."""

    def _ask(
        self, command: Command, answer: Callable[[Outcome], None], refuse: Callable[[str], None]
    ) -> None:
        if command.value is None and self.leads:
            self.world.after(0.1, partial(answer, Outcome(self.registers.get(command.key))))
            return None
        return super()._ask(command, answer, refuse)


class LabelsItsSnapshotTooLow(Server):
    """etcd 13766: the state and its index are stored apart, so a restart applies an entry twice."""

    def _compact(self) -> None:
        if self.applied - self.raft.log.snapshot.index >= self.compact_every:
            snapshot = self.raft.compact(self.applied, b"")
            self.disk.compact(structs.replace(snapshot, data=b""))


class ForgetsWhoCountsInItsSnapshot(Server):
    def _stored(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            ready = replace(
                ready,
                snapshot=structs.replace(ready.snapshot, configuration=self.disk.snapshot.configuration),
            )
        super()._stored(ready)


class KeepsItsStateOverASnapshot(Server):
    def _restore(self, snapshot: Snapshot) -> None:
        before = self.registers
        super()._restore(snapshot)
        self.registers = {**self.registers, **before}


class AnswersWhenItProposes(Server):
    """The client hears of success before a majority has the entry."""

    def _ask(
        self, command: Command, answer: Callable[[Outcome], None], refuse: Callable[[str], None]
    ) -> None:
        super()._ask(command, answer, refuse)
        if command.id in self._waiting and command.expected is None and command.value is not None:
            self._waiting.pop(command.id)
            answer(Outcome())


@dataclass(frozen=True, slots=True)
class Planted:
    seed: int
    server: type[Server] = Server
    rules: type[Rules] = Rules

    @property
    def name(self) -> str:
        return (self.rules if self.server is Server else self.server).__name__


PLANTED = [
    Planted(7, rules=VotesTwice),
    Planted(1, rules=IgnoresTheLogOfACandidate),
    Planted(89, rules=ComparesLengthsAlone),
    Planted(239, rules=CampaignsOnlyWhereItCounts),
    Planted(86, rules=HeedsAConfigurationOnceItIsCommitted),
    Planted(3, rules=IgnoresTheTermBefore),
    Planted(3, rules=KeepsWhatConflicts),
    Planted(490, rules=CommitsEarlierTermsByCounting),
    Planted(401, rules=CountsLearners),
    Planted(128, rules=ForgetsTheOutgoingMajority),
    Planted(2, rules=NeedsNoMajority),
    Planted(53, rules=ReadsBeforeItsFirstCommit),
    Planted(261, server=ForgetsItsVote),
    Planted(4, server=ForgetsItsTerm),
    Planted(9, server=SpeaksBeforeItsDisk),
    Planted(2, server=CountsItselfBeforeItsDisk),
    Planted(1, server=SyncsTooLate),
    Planted(29, server=LeavesTheOldTail),
    Planted(15, server=ReadsWithoutAQuorum),
    Planted(0, server=LabelsItsSnapshotTooLow),
    Planted(267, server=ForgetsWhoCountsInItsSnapshot),
    Planted(7, server=KeepsItsStateOverASnapshot),
    Planted(0, server=AnswersWhenItProposes),
]
