"""A leader hands over: it takes nothing new, brings its heir up to date and lets it campaign at once, so the group
has a leader again after one round trip. Who does not take over within an election timeout is given up. Source:
Ongaro's thesis, section 3.10.
"""

from __future__ import annotations

from ohmesh.protocols.consensus.raft import replication
from ohmesh.protocols.consensus.raft.messages import CampaignNow
from ohmesh.protocols.consensus.raft.state import Leadership, RaftState


def begin(state: RaftState, leading: Leadership, heir: str, now_ms: int) -> None:
    leading.heir = heir
    leading.handover_due_ms = now_ms + state.settings.election_timeout_ms
    go_on(state, leading)


def go_on(state: RaftState, leading: Leadership) -> None:
    progress = leading.progress.get(leading.heir)
    if progress is None:
        give_up(leading)
    elif progress.match == state.log.last_index:
        state.send(leading.heir, CampaignNow(state.term))
    elif not progress.is_paused:
        replication.send_append(state, leading.heir, progress)


def give_up(leading: Leadership) -> None:
    leading.heir, leading.handover_due_ms = "", 0


def take_leave(state: RaftState, leading: Leadership) -> None:
    """A leader that goes for good lets the one run that has most."""
    voters = [each for each in leading.progress if state.configuration.has_voter(each)]
    if voters:
        heir = max(voters, key=lambda each: leading.progress[each].match)
        state.send(heir, CampaignNow(state.term))
