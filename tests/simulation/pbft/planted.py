"""Bugs planted into every replica of a committee: each breaks one rule, and some liar has to make use of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ohmesh.protocols.consensus.pbft.messages import (
    Body,
    Checkpoint,
    NewView,
    PrePrepare,
    Proposal,
    Signed,
    Verify,
    decode_body,
)
from ohmesh.protocols.consensus.pbft.proofs import Certified, Proofs
from ohmesh.protocols.consensus.pbft.replica import Replica
from ohmesh.protocols.consensus.pbft.settings import faults_of


class SmallQuorum(Proofs):
    """f + 1 are enough, as for a client."""

    def __init__(self, members: tuple[str, ...], verify: Verify) -> None:
        super().__init__(members, verify)
        self.quorum = faults_of(len(members)) + 1


class AnySignature(Proofs):
    def read(self, signed: Signed) -> Body | None:
        return decode_body(signed)


class AnyBatch(Proofs):
    """The batch is not compared with its digest."""

    def proposal(self, proposal: Proposal) -> PrePrepare | None:
        body = self.read(proposal.pre_prepare)
        is_primary = isinstance(body, PrePrepare) and proposal.pre_prepare.source == self.primary_of(
            body.view
        )
        return body if is_primary and isinstance(body, PrePrepare) else None


class AnyNewView(Proofs):
    """concord-bft PR 50 and others: what a new primary proposes is not computed again."""

    def new_view(self, message: NewView) -> tuple[int, dict[int, Certified]] | None:
        wanted: dict[int, Certified] = {}
        for proposal in message.proposals:
            body = self.proposal(proposal)
            if body is not None:
                wanted[body.sequence] = (body.view, body.digest, proposal.requests)
        return 0, wanted


class AnyCheckpoint(Proofs):
    """One voucher is a quorum."""

    def stable(self, sequence: int, proof: Iterable[Signed]) -> bytes | None:
        for each in proof:
            body = self.read(each)
            if isinstance(body, Checkpoint) and body.sequence == sequence:
                return body.digest
        return super().stable(sequence, ())


class WithSmallQuorum(Replica):
    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return SmallQuorum(members, verify)


class WithAnySignature(Replica):
    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return AnySignature(members, verify)


class WithAnyBatch(Replica):
    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return AnyBatch(members, verify)


class WithAnyNewView(Replica):
    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return AnyNewView(members, verify)


class WithAnyCheckpoint(Replica):
    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return AnyCheckpoint(members, verify)


class ForgetsWhatItPrepared(Replica):
    """raijin 8: what was prepared is lost with the view."""

    def _change_view(self, view: int, now_ms: float) -> None:
        self._prepared.clear()
        super()._change_view(view, now_ms)


class TakesASecondProposal(Replica):
    def _hear_proposal(self, proposal: Proposal, now_ms: float) -> None:
        body = self._proofs.proposal(proposal)
        slot = self._slot(body.view, body.sequence) if body is not None and not self.is_changing else None
        if slot is not None and slot.proposal is not None and slot.proposal != proposal:
            slot.proposal, slot.has_committed = None, False
        super()._hear_proposal(proposal, now_ms)


class NeverAsksAgain(Replica):
    """Made here: one lost checkpoint or commit stopped a committee for good."""

    def _ask_again(self, now_ms: float) -> None:
        self._resend_ms = None


class ForgetsWhatARestoredStateHolds(Replica):
    """Made here: a request was executed twice after a state had been fetched."""

    def restored(self, done: dict[str, int], now_ms: float) -> None:
        super().restored({client: number - 1 for client, number in done.items()}, now_ms)


@dataclass(frozen=True, slots=True)
class Planted:
    seed: int
    kind: type[Replica]


PLANTED = [
    Planted(0, WithSmallQuorum),
    Planted(7, WithAnySignature),
    Planted(29, WithAnyBatch),
    Planted(47, WithAnyNewView),
    Planted(15, WithAnyCheckpoint),
    Planted(0, ForgetsWhatItPrepared),
    Planted(0, TakesASecondProposal),
    Planted(5, NeverAsksAgain),
    Planted(43, ForgetsWhatARestoredStateHolds),
]
