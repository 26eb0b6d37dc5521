"""Linearizable reads that write nothing: the leader notes what is committed, makes sure that it still leads, and
answers from there. Source: Ongaro's thesis, section 6.4.

A beat that was sent after the read came proves leadership once a majority has answered it; reads that come between
two beats share the next one.
"""

from __future__ import annotations

from ohmesh.protocols.consensus.raft.state import Leadership, RaftState, Read


def begin(state: RaftState, leading: Leadership, read_id: int) -> None:
    if not state.rules.may_serve_reads(state.log, state.term):
        leading.early_reads.append(read_id)
        return
    leading.reads.append(Read(read_id, state.log.committed, leading.round + 1))
    leading.beat_due_ms = 0  # at the next tick, so that all reads of one moment share it


def begin_early(state: RaftState, leading: Leadership) -> None:
    """Something is committed: what waited for the first entry of this term may begin."""
    if leading.early_reads and state.rules.may_serve_reads(state.log, state.term):
        early, leading.early_reads = leading.early_reads, []
        for read_id in early:
            begin(state, leading, read_id)


def release(state: RaftState, leading: Leadership) -> None:
    """Those whose beat a majority has answered."""
    configuration = state.configuration
    while leading.reads:
        wanted = leading.reads[0].round
        if leading.round < wanted:
            return
        heard = {each for each, progress in leading.progress.items() if progress.heard_round >= wanted}
        if not configuration.is_quorum(heard | {state.id}):
            return
        state.readable.append(leading.reads.popleft())
