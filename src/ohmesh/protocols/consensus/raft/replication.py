"""How entries reach a majority and become committed. Source: paper 5.3 to 5.5, 7; thesis 10.2.1."""

from __future__ import annotations

from ohmesh.protocols.consensus.raft import reading
from ohmesh.protocols.consensus.raft.configuration import encode_configuration
from ohmesh.protocols.consensus.raft.messages import (
    Append,
    AppendReply,
    Entry,
    EntryKind,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
)
from ohmesh.protocols.consensus.raft.progress import Progress
from ohmesh.protocols.consensus.raft.state import Leadership, RaftState, entry_bytes


def add_entries(state: RaftState, leading: Leadership, *entries: Entry) -> int:
    """The leader's own log first; followers hear at once, and it counts itself when its disk has them."""
    index = state.log.append(entries)
    leading.uncommitted_bytes += entry_bytes(entries)
    note_members(state, leading)
    send_appends(state, leading)
    return index


def note_members(state: RaftState, leading: Leadership) -> None:
    """Progress is kept of exactly those whom the log names now."""
    others = set(state.others)
    for gone in leading.progress.keys() - others:
        del leading.progress[gone]
    for new in sorted(others - leading.progress.keys()):
        progress = Progress(state.log.last_index + 1, state.settings.unanswered_appends)
        progress.has_answered = True  # it is given one timeout to show itself
        leading.progress[new] = progress


def send_appends(state: RaftState, leading: Leadership) -> None:
    for other, progress in leading.progress.items():
        while not progress.is_paused and progress.next <= state.log.last_index:
            send_append(state, other, progress)


def send_append(state: RaftState, other: str, progress: Progress) -> None:
    """The next entries; none where there are none, which asks whether the logs agree; or the snapshot."""
    previous = progress.next - 1
    previous_term = state.log.term_at(previous)
    if previous_term is None:
        snapshot = state.log.snapshot
        round_now = state.leading.round if state.leading else 0
        progress.sent_snapshot(snapshot.index, round_now + _snapshot_rounds(state))
        state.send_now(other, InstallSnapshot(state.term, snapshot))
        return
    settings = state.settings
    entries = state.log.entries_from(
        progress.next, limit=settings.entries_per_append, limit_bytes=settings.append_bytes
    )
    state.send_now(other, Append(state.term, previous, previous_term, entries, state.log.committed))
    progress.sent(previous + len(entries), is_empty=not entries)


def beat(state: RaftState, leading: Leadership, now_ms: int) -> None:
    leading.round += 1
    leading.beat_due_ms = now_ms + state.settings.heartbeat_ms
    for other, progress in leading.progress.items():
        commit = min(progress.match, state.log.committed)
        state.send(other, Heartbeat(state.term, commit, leading.round))
    reading.release(state, leading)


def on_append(state: RaftState, leader: str, append: Append) -> None:
    log = state.log
    if append.previous_index < log.committed:
        # What is committed agrees, whatever an old append says.
        state.send(leader, AppendReply(state.term, log.committed))
        return
    if not state.rules.follows(log, append):
        state.send(leader, _refusal(state, append))
        return
    for number, entry in enumerate(append.entries, append.previous_index + 1):
        if state.rules.is_conflict(log, number, entry):
            if number <= log.last_index:
                log.cut(number - 1)
            log.append(append.entries[number - append.previous_index - 1 :])
            break
    last_new = append.previous_index + len(append.entries)
    learn_commit(state, min(append.commit, last_new))
    state.send(leader, AppendReply(state.term, last_new))


def _refusal(state: RaftState, append: Append) -> AppendReply:
    """Name the last index that may agree: none of a later term than that of the leader's entry can (paper 5.3)."""
    log = state.log
    match = min(append.previous_index - 1, log.last_index)
    while match >= log.first_index and (log.term_at(match) or 0) > append.previous_term:
        match -= 1
    return AppendReply(state.term, match, True, append.previous_index, log.term_at(match) or 0)


def on_append_reply(state: RaftState, leading: Leadership, source: str, reply: AppendReply) -> None:
    progress = leading.progress.get(source)
    if progress is None:
        return
    progress.has_answered = True
    if reply.is_refused:
        if progress.refused(reply.previous_index, _last_possible(state, reply)):
            send_append(state, source, progress)
        return
    was_paused = progress.is_paused
    if progress.accepted(reply.match) or was_paused:
        advance_commit(state, leading)
        send_appends(state, leading)


def _last_possible(state: RaftState, reply: AppendReply) -> int:
    """The follower's log has `match_term` up to `match`: our entries of later terms cannot be in it."""
    log = state.log
    index = min(reply.match, log.last_index)
    while index >= log.first_index and (log.term_at(index) or 0) > reply.match_term:
        index -= 1
    return index


def on_heartbeat(state: RaftState, leader: str, message: Heartbeat) -> None:
    learn_commit(state, min(message.commit, state.log.last_index))
    state.send(leader, HeartbeatReply(state.term, message.round))


def on_heartbeat_reply(state: RaftState, leading: Leadership, source: str, reply: HeartbeatReply) -> None:
    progress = leading.progress.get(source)
    if progress is None:
        return
    progress.heard(reply.round)
    if progress.match < state.log.last_index and not progress.is_paused:
        send_append(state, source, progress)
    reading.release(state, leading)


def _snapshot_rounds(state: RaftState) -> int:
    """So many answered beats without an answer to the snapshot say that it is lost."""
    return state.settings.election_timeout_ms // state.settings.heartbeat_ms


def on_snapshot(state: RaftState, leader: str, message: InstallSnapshot) -> None:
    log, snapshot = state.log, message.snapshot
    if snapshot.index > log.committed:
        if log.term_at(snapshot.index) == snapshot.term:
            learn_commit(state, snapshot.index)
        else:
            log.restore(snapshot)
            state.received = snapshot
    state.send(leader, AppendReply(state.term, log.committed))


def learn_commit(state: RaftState, index: int) -> None:
    state.log.committed = max(state.log.committed, index)


def advance_commit(state: RaftState, leading: Leadership) -> None:
    log = state.log
    match = {other: progress.match for other, progress in leading.progress.items()}
    match[state.id] = log.stable
    index = state.rules.agreed_index(state.configuration, match)
    if index > log.last_index or not state.rules.may_commit(log, index, state.term):
        return
    leading.uncommitted_bytes -= entry_bytes(log.slice(log.committed, index))
    log.committed = index
    reading.begin_early(state, leading)
    if log.configuration.is_joint and log.configuration_index <= index:
        settled = encode_configuration(log.configuration.settled())
        add_entries(state, leading, Entry(state.term, settled, EntryKind.CONFIGURATION))
