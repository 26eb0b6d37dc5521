"""What the paper demands, one method a sentence.

The machine asks these and decides nothing of it elsewhere, so a rule is found, read and tested in one place. Sources:
Ongaro and Ousterhout 2014 (paper), Ongaro's thesis 2014 (thesis).
"""

from __future__ import annotations

from collections.abc import Mapping

from ohmesh.protocols.consensus.raft.configuration import Configuration
from ohmesh.protocols.consensus.raft.log import RaftLog
from ohmesh.protocols.consensus.raft.messages import Append, Entry, HardState, VoteRequest


class Rules:
    def is_up_to_date(self, log: RaftLog, last_term: int, last_index: int) -> bool:
        """Paper 5.4.1: the later last term wins, and of equal ones the longer log."""
        return (last_term, last_index) >= (log.last_term, log.last_index)

    def in_force(self, log: RaftLog) -> Configuration:
        """Paper 6: the last one in the log, committed or not."""
        return log.configuration

    def may_campaign(self, log: RaftLog, member: str) -> bool:
        """Thesis 4.2.2: who counts, and who counted until the configuration that leaves it out is committed, for it
        may be the only one whose log is long enough."""
        return self.in_force(log).has_voter(member) or log.committed_configuration.has_voter(member)

    def may_vote(self, hard: HardState, leader: str, source: str, request: VoteRequest) -> bool:
        """Paper 5.2: one vote a term, first come first served; the same candidate may ask again. A trial binds
        nobody (thesis 9.6)."""
        if request.is_trial:
            return request.term > hard.term
        return request.term == hard.term and (hard.vote == source or not (hard.vote or leader))

    def holds_to_leader(self, leader: str, since_heard_ms: int, election_timeout_ms: int) -> bool:
        """Paper 6, thesis 4.2.3: who heard its leader within the shortest election timeout heeds no candidate, so a
        member that was removed or cut off cannot unseat it."""
        return bool(leader) and since_heard_ms < election_timeout_ms

    def follows(self, log: RaftLog, append: Append) -> bool:
        """Paper 5.3: entries are taken only where the one before them is the same."""
        return log.term_at(append.previous_index) == append.previous_term

    def is_conflict(self, log: RaftLog, index: int, entry: Entry) -> bool:
        """Paper 5.3: an entry of another term at the same index, and all that follow it, go."""
        return log.term_at(index) != entry.term

    def agreed_index(self, configuration: Configuration, match: Mapping[str, int]) -> int:
        """Paper 5.3 and 6: what a majority of each set of voters has on disk."""
        return configuration.agreed_index(match)

    def may_commit(self, log: RaftLog, index: int, term: int) -> bool:
        """Paper 5.4.2: only entries of one's own term are committed by counting."""
        return index > log.committed and log.term_at(index) == term

    def may_serve_reads(self, log: RaftLog, term: int) -> bool:
        """Thesis 6.4: a new leader knows what is committed only when an entry of its own term is."""
        return log.term_at(log.committed) == term

    def may_change(self, log: RaftLog) -> bool:
        """Paper 6: one change at a time; the one before is committed, and is not a joint one."""
        return log.configuration_index <= log.committed and not log.configuration.is_joint
