"""What a certificate has to hold to be believed. Whoever lies may send anything, so nothing is taken from a message
that its signatures do not show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ohmesh.protocols.consensus.pbft.messages import (
    NOTHING,
    Body,
    Checkpoint,
    NewView,
    Prepare,
    Prepared,
    PrePrepare,
    Proposal,
    Request,
    Signed,
    Verify,
    ViewChange,
    decode_body,
    digest_of,
)
from ohmesh.protocols.consensus.pbft.settings import quorum_of

Certified = tuple[int, bytes, tuple[Request, ...]]  # view, digest, batch


class Proofs:
    def __init__(self, members: tuple[str, ...], verify: Verify) -> None:
        self._members = members
        self._verify = verify
        self.quorum = quorum_of(len(members))

    def primary_of(self, view: int) -> str:
        return self._members[view % len(self._members)]

    def read(self, signed: Signed) -> Body | None:
        """None: nobody's, or not what its source signed."""
        if signed.source not in self._members or not self._verify(
            signed.source, signed.body, signed.signature
        ):
            return None
        return decode_body(signed)

    def proposal(self, proposal: Proposal) -> PrePrepare | None:
        """By the primary of its view, with the batch that it names."""
        body = self.read(proposal.pre_prepare)
        if not isinstance(body, PrePrepare) or proposal.pre_prepare.source != self.primary_of(body.view):
            return None
        return body if digest_of(proposal.requests) == body.digest else None

    def prepared(self, proof: Prepared) -> PrePrepare | None:
        """A proposal, and prepares by a quorum of distinct members, the primary counted by its proposal (4.2)."""
        proposed = self.proposal(proof.proposal)
        if proposed is None:
            return None
        wanted = Prepare(proposed.view, proposed.sequence, proposed.digest)
        backups = {
            each.source
            for each in proof.prepares
            if each.source != proof.proposal.pre_prepare.source and self.read(each) == wanted
        }
        return proposed if len(backups) + 1 >= self.quorum else None

    def stable(self, sequence: int, proof: Iterable[Signed]) -> bytes | None:
        """The digest that a quorum vouches for; b"" for the beginning, which needs no proof."""
        if sequence == 0:
            return NOTHING
        vouchers: dict[bytes, set[str]] = {}
        for each in proof:
            body = self.read(each)
            if isinstance(body, Checkpoint) and body.sequence == sequence:
                vouchers.setdefault(body.digest, set()).add(each.source)
        return next((digest for digest, by in vouchers.items() if len(by) >= self.quorum), None)

    def view_change(self, signed: Signed) -> ViewChange | None:
        """With nothing in it that is not proved: one that is partly false is wholly nobody's."""
        change = self.read(signed)
        if not isinstance(change, ViewChange) or self.stable(change.stable, change.proof) is None:
            return None
        for each in change.prepared:
            body = self.prepared(each)
            if body is None or body.view >= change.view or body.sequence <= change.stable:
                return None
        return change

    def new_view(self, message: NewView) -> tuple[int, dict[int, Certified]] | None:
        """What the view begins with, recomputed from the view changes that came with it: the highest stable
        checkpoint, and what must be proposed again under each number behind it. None: it does not follow from them."""
        changes: dict[str, ViewChange] = {}
        for signed in message.changes:
            change = self.view_change(signed)
            if change is not None and change.view == message.view:
                changes.setdefault(signed.source, change)
        if len(changes) < self.quorum:
            return None
        stable, wanted = self.must_propose(changes)
        given = {}
        for proposal in message.proposals:
            body = self.proposal(proposal)
            if body is None or body.view != message.view:
                return None
            given[body.sequence] = (body.digest, proposal.requests)
        if given != {sequence: (digest, batch) for sequence, (_, digest, batch) in wanted.items()}:
            return None
        return stable, wanted

    def must_propose(self, changes: Mapping[str, ViewChange]) -> tuple[int, dict[int, Certified]]:
        """For each number the batch that was prepared in the latest view; gaps get nothing (4.4)."""
        stable = max(change.stable for change in changes.values())
        chosen: dict[int, Certified] = {}
        for change in changes.values():
            for proof in change.prepared:
                body = decode_body(proof.proposal.pre_prepare)
                assert isinstance(body, PrePrepare)
                known = chosen.get(body.sequence)
                if body.sequence > stable and (known is None or body.view > known[0]):
                    chosen[body.sequence] = (body.view, body.digest, proof.proposal.requests)
        last = max(chosen, default=stable)
        return stable, {
            sequence: chosen.get(sequence, (0, NOTHING, ())) for sequence in range(stable + 1, last + 1)
        }
