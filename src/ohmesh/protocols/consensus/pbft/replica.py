"""One replica of a committee, as a machine without network, clock or keys.

    replica.request(request, now_ms)   replica.receive(source, message, now_ms)   replica.tick(now_ms)
    ready = replica.take()

The driver sends what `ready` says, executes its batches in their order, answers the clients, and hands in the state
where it is asked for: `replica.checkpointed(sequence, data)`, then `go_on`; after a restored state `restored`. A client
believes a result that f + 1 replicas give. What a replica knows is to survive its restart: one that forgets counts
among the liars.

Source: Castro and Liskov 1999; numbers of sections are of that paper.
"""

from __future__ import annotations

from ohmesh.protocols.consensus.pbft.messages import (
    Ask,
    AskState,
    Body,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Proposal,
    Signed,
    State,
    ViewChange,
)
from ohmesh.protocols.consensus.pbft.ordering import ALL, Ordering
from ohmesh.protocols.consensus.pbft.proofs import Certified


class Replica(Ordering):
    """Beside ordering it hears everybody, and changes views."""

    def tick(self, now_ms: float) -> None:
        if self._resend_ms is not None and now_ms >= self._resend_ms:
            self._ask_again(now_ms)
        if self._due_ms is None or now_ms < self._due_ms:
            return
        if self._waiting or self.is_changing:
            self._patience = min(self._patience + 1, self.settings.doublings)
            self._change_view(self.view + 1, now_ms)
        else:
            self._due_ms = None

    # -- what comes in

    def receive(self, source: str, message: Message, now_ms: float) -> None:
        """Whatever anybody sends; what is not signed as it should be changes nothing."""
        match message:
            case Signed():
                body = self._proofs.read(message)
                if body is not None:
                    self._hear(message, body, now_ms)
            case Proposal():
                self._hear_proposal(message, now_ms)
            case NewView():
                self._hear_new_view(message, now_ms)
            case Ask():
                self.request(message.request, now_ms)
            case AskState():
                self._give_state(source, message)
            case State():
                self._take_state(message, now_ms)

    def _hear(self, signed: Signed, body: Body, now_ms: float) -> None:
        match body:
            case Prepare():
                if (slot := self._slot(body.view, body.sequence)) is not None:
                    slot.prepares.setdefault(body.digest, {}).setdefault(signed.source, signed)
                    self._advance(body.sequence, now_ms)
            case Commit():
                if (slot := self._slot(body.view, body.sequence)) is not None:
                    slot.commits.setdefault(body.digest, set()).add(signed.source)
                    self._advance(body.sequence, now_ms)
            case Checkpoint():
                self._hear_checkpoint(signed, body, now_ms)
            case ViewChange():
                self._hear_change(signed, now_ms)

    # -- views

    def _change_view(self, view: int, now_ms: float) -> None:
        self.view, self.is_changing = view, True
        self._wait(now_ms)
        prepared = tuple(proof for at, proof in sorted(self._prepared.items()) if at > self.stable)
        self._say(ViewChange(view, self.stable, self._stable_proof, prepared))
        self._begin_view(view, now_ms)

    def _hear_change(self, signed: Signed, now_ms: float) -> None:
        change = self._proofs.view_change(signed)
        if change is None:
            return
        if change.view < self.view or (change.view == self.view and not self.is_changing):
            if self._new_view is not None and not self.is_changing:
                self._ready.messages.append((signed.source, self._new_view))
            return
        self._changes.setdefault(change.view, {}).setdefault(signed.source, signed)
        self._join_later_views(now_ms)
        self._begin_view(change.view, now_ms)

    def _join_later_views(self, now_ms: float) -> None:
        """f + 1 are in later views: at least one that does not lie wants to leave ours, so we do too (4.5.2)."""
        later: dict[str, int] = {}
        for view, changes in self._changes.items():
            if view > self.view:
                for source in changes:
                    later[source] = max(later.get(source, 0), view)
        if len(later) > self.faults:
            wanted = sorted(later.values(), reverse=True)[self.faults]
            if wanted > self.view:
                self._change_view(wanted, now_ms)

    def _begin_view(self, view: int, now_ms: float) -> None:
        """As its primary, once a quorum wants it."""
        if view != self.view or not self.is_changing or self._proofs.primary_of(view) != self.id:
            return
        changes = self._changes.get(view, {})
        if len(changes) < self._proofs.quorum:
            return
        decoded = {source: self._proofs.read(signed) for source, signed in changes.items()}
        known = {source: each for source, each in decoded.items() if isinstance(each, ViewChange)}
        stable, wanted = self._proofs.must_propose(known)
        proposals = tuple(
            Proposal(self._signed(PrePrepare(view, sequence, digest)), batch)
            for sequence, (_, digest, batch) in wanted.items()
        )
        message = NewView(view, tuple(changes.values()), proposals)
        self._ready.messages.append((ALL, message))
        self._new_view = message
        self._enter(view, stable, wanted, proposals, now_ms)

    def _hear_new_view(self, message: NewView, now_ms: float) -> None:
        if (
            message.view < self.view
            or (message.view == self.view and not self.is_changing)
            or not message.view
        ):
            return
        begun = self._proofs.new_view(message)
        if begun is None:
            return
        stable, wanted = begun
        self.view, self._new_view = message.view, message
        self._enter(message.view, stable, wanted, message.proposals, now_ms)

    def _enter(
        self,
        view: int,
        stable: int,
        wanted: dict[int, Certified],
        proposals: tuple[Proposal, ...],
        now_ms: float,
    ) -> None:
        self.is_changing = False
        self._changes = {at: each for at, each in self._changes.items() if at > view}
        self._proposed.clear()
        self._next = max(wanted, default=stable) + 1
        if stable > self.executed:
            self._ready.messages.append((ALL, AskState(self.executed, self.stable)))
        self._due_ms = None
        if self._waiting:
            self._wait(now_ms)
        for proposal, sequence in zip(proposals, wanted, strict=True):
            slot = self._slot(view, sequence)
            body = self._proofs.read(proposal.pre_prepare)
            if slot is not None and slot.proposal is None and isinstance(body, PrePrepare):
                self._accept(slot, body, proposal, now_ms)
        for request in list(self._waiting.values()):
            if self.id != self.primary:
                self._ready.messages.append((self.primary, Ask(request)))
        if self.id == self.primary:
            self._propose()
