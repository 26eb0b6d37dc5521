"""How a leader is made. Source: paper 5.2 and 5.4.1; trial votes: thesis 9.6; check of the quorum: thesis 6.2."""

from __future__ import annotations

from ohmesh.protocols.consensus.raft import replication
from ohmesh.protocols.consensus.raft.configuration import Verdict
from ohmesh.protocols.consensus.raft.messages import Entry, EntryKind, HardState, VoteReply, VoteRequest
from ohmesh.protocols.consensus.raft.state import Leadership, RaftState, Role


def campaign(state: RaftState, now_ms: int, *, is_trial: bool = True, is_handover: bool = False) -> None:
    term = state.term + 1
    state.run_for(term, is_trial=is_trial, now_ms=now_ms)
    request = VoteRequest(term, state.log.last_index, state.log.last_term, is_trial, is_handover)
    for other in state.others:
        if state.configuration.has_voter(other):
            state.send(other, request)
    count(state, now_ms)


def on_request(state: RaftState, source: str, request: VoteRequest, now_ms: int) -> None:
    log, rules = state.log, state.rules
    is_granted = rules.may_vote(state.hard, state.leader, source, request) and rules.is_up_to_date(
        log, request.last_term, request.last_index
    )
    if is_granted and not request.is_trial:
        state.hard = HardState(state.term, source)
        state.wait_for_leader(now_ms)
    term = request.term if is_granted else state.term
    state.send(source, VoteReply(term, is_granted, request.is_trial))


def on_reply(state: RaftState, source: str, reply: VoteReply, now_ms: int) -> None:
    if state.role is (Role.TRIAL if reply.is_trial else Role.CANDIDATE):
        state.votes.setdefault(source, reply.is_granted)
        count(state, now_ms)


def count(state: RaftState, now_ms: int) -> None:
    verdict = state.configuration.verdict(state.votes)
    if verdict is Verdict.LOST:
        state.follow(state.term, "", now_ms)
    elif verdict is Verdict.WON and state.role is Role.TRIAL:
        campaign(state, now_ms, is_trial=False)
    elif verdict is Verdict.WON:
        leading = state.lead(now_ms)
        replication.add_entries(state, leading, Entry(state.term, kind=EntryKind.BLANK))


def check_quorum(state: RaftState, leading: Leadership, now_ms: int) -> None:
    """A leader that a majority has not answered for an election timeout leads nobody, and says so."""
    answered = {each for each, progress in leading.progress.items() if progress.has_answered}
    if not state.configuration.is_quorum(answered | {state.id}):
        state.follow(state.term, "", now_ms)
        return
    leading.quorum_due_ms = now_ms + state.settings.election_timeout_ms
    for progress in leading.progress.values():
        progress.has_answered = False
