"""Replicas that lie, each in one way; what they can sign is what a liar with a key of its own can sign."""

from __future__ import annotations

from msgspec import structs

from ohmesh.protocols.consensus.pbft.messages import (
    Ask,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Proposal,
    Request,
    Signed,
    State,
    ViewChange,
    decode_body,
    digest_of,
    encode_body,
)
from ohmesh.protocols.consensus.pbft.ordering import Ready
from tests.simulation.pbft.committee import Server, signer


class Liar(Server):
    def signed(self, body: PrePrepare | Prepare | Commit | Checkpoint | ViewChange) -> Signed:
        data = encode_body(body)
        return Signed(self.name, data, signer(self.name)(data))

    @property
    def others(self) -> list[str]:
        return [name for name in self.committee.names if name != self.name]


class Silent(Liar):
    def send(self, ready: Ready) -> None:
        pass


class Half(Liar):
    """Speaks to some only."""

    def say(self, to: str, message: Message) -> None:
        if self.committee.names.index(to) % 2:
            super().say(to, message)


class Equivocates(Liar):
    """As primary it proposes one batch to some and another to the rest, and prepares and commits to both."""

    def say(self, to: str, message: Message) -> None:
        if isinstance(message, Proposal) and self.committee.names.index(to) % 2:
            body = decode_body(message.pre_prepare)
            assert isinstance(body, PrePrepare)
            if message.pre_prepare.source == self.name:
                other = message.requests[:-1]
                digest = digest_of(other)
                message = Proposal(self.signed(PrePrepare(body.view, body.sequence, digest)), other)
                super().say(to, self.signed(Commit(body.view, body.sequence, digest)))
        super().say(to, message)


class VotesForEverything(Liar):
    """Prepares and commits to whatever anybody proposes, at once."""

    def hear(self, source: str, message: Message) -> None:
        if isinstance(message, Proposal):
            body = decode_body(message.pre_prepare)
            if isinstance(body, PrePrepare):
                for vote in (Prepare, Commit):
                    for other in self.others:
                        self.say(other, self.signed(vote(body.view, body.sequence, body.digest)))
        super().hear(source, message)


class VotesForOthers(Liar):
    """Votes for digests that nobody proposed, and in the names of others."""

    def say(self, to: str, message: Message) -> None:
        super().say(to, message)
        body = decode_body(message) if isinstance(message, Signed) else None
        if isinstance(body, Prepare | Commit):
            wrong = structs.replace(body, digest=b"\x01" * 32)
            super().say(to, self.signed(wrong))
            super().say(to, structs.replace(self.signed(wrong), source=self.others[0]))


class Forges(Liar):
    """As primary it gives some another batch, with votes of everybody for it that nobody signed."""

    def say(self, to: str, message: Message) -> None:
        if isinstance(message, Proposal) and self.committee.names.index(to) % 2:
            body = decode_body(message.pre_prepare)
            assert isinstance(body, PrePrepare)
            if message.pre_prepare.source == self.name:
                digest = digest_of(message.requests[:-1])
                message = Proposal(
                    self.signed(PrePrepare(body.view, body.sequence, digest)), message.requests[:-1]
                )
                super().say(to, message)
                for vote in (Prepare, Commit):
                    signed = self.signed(vote(body.view, body.sequence, digest))
                    for other in self.others:
                        super().say(to, structs.replace(signed, source=other))
                return
        super().say(to, message)


class InventsRequests(Liar):
    """As primary it proposes what no client asked for."""

    def say(self, to: str, message: Message) -> None:
        if isinstance(message, Proposal) and message.pre_prepare.source == self.name:
            body = decode_body(message.pre_prepare)
            assert isinstance(body, PrePrepare)
            made_up = structs.replace(message, requests=(Request("c0", 0, b"pay me"),))
            super().say(to, made_up)  # under the digest of another batch
        super().say(to, message)


class Censors(Liar):
    """One client is never heard."""

    def ask(self, request: Request) -> None:
        if request.client != "c0":
            super().ask(request)

    def hear(self, source: str, message: Message) -> None:
        if not (isinstance(message, Ask) and message.request.client == "c0"):
            super().hear(source, message)


class WantsAnotherView(Liar):
    """Asks for the next view, and the one after it, all the time."""

    def hear(self, source: str, message: Message) -> None:
        if self.committee.world.rng.random() < 0.05:
            for ahead in (1, 2, 9):
                change = ViewChange(self.replica.view + ahead, self.replica.stable, (), ())
                for other in self.others:
                    self.say(other, self.signed(change))
        super().hear(source, message)


class ForgetsWhatWasPrepared(Liar):
    """Its view changes name nothing, and its new views propose nothing under each number."""

    def nothing_instead(self, proposal: Proposal) -> Proposal:
        body = decode_body(proposal.pre_prepare)
        assert isinstance(body, PrePrepare)
        return Proposal(self.signed(PrePrepare(body.view, body.sequence, digest_of(()))), ())

    def say(self, to: str, message: Message) -> None:
        body = decode_body(message) if isinstance(message, Signed) else None
        if isinstance(body, ViewChange):
            message = self.signed(structs.replace(body, prepared=()))
        if isinstance(message, NewView) and message.changes and message.proposals:
            message = structs.replace(message, proposals=tuple(map(self.nothing_instead, message.proposals)))
        super().say(to, message)


class InventsProofs(Liar):
    """Its view changes hold a batch that it alone prepared."""

    def say(self, to: str, message: Message) -> None:
        body = decode_body(message) if isinstance(message, Signed) else None
        if isinstance(body, ViewChange) and body.prepared:
            first = body.prepared[0]
            proposed = decode_body(first.proposal.pre_prepare)
            assert isinstance(proposed, PrePrepare)
            fake = self.signed(PrePrepare(proposed.view, proposed.sequence, digest_of(())))
            proof = structs.replace(first, proposal=Proposal(fake, ()))
            message = self.signed(structs.replace(body, prepared=(proof, *body.prepared[1:])))
        super().say(to, message)


class FalseCheckpoints(Liar):
    """Vouches for states that never were, and gives them to who asks."""

    def say(self, to: str, message: Message) -> None:
        body = decode_body(message) if isinstance(message, Signed) else None
        if isinstance(body, Checkpoint):
            message = self.signed(Checkpoint(body.sequence, b"\x02" * 32))
            super().say(to, self.signed(Checkpoint(body.sequence + 4, b"\x02" * 32)))
        if isinstance(message, State):
            message = structs.replace(message, data=b"\x90")
        super().say(to, message)


class Replays(Liar):
    """Says again what others said, long after."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.heard: list[Message] = []

    def hear(self, source: str, message: Message) -> None:
        self.heard.append(message)
        rng = self.committee.world.rng
        if rng.random() < 0.2:
            self.say(rng.choice(self.others), rng.choice(self.heard[-500:]))
        super().hear(source, message)


class Babbles(Liar):
    """Signs noise, and breaks what others signed."""

    def hear(self, source: str, message: Message) -> None:
        rng = self.committee.world.rng
        if rng.random() < 0.2:
            noise = rng.randbytes(rng.randint(0, 40))
            self.say(rng.choice(self.others), Signed(self.name, noise, signer(self.name)(noise)))
            if isinstance(message, Signed):
                self.say(rng.choice(self.others), structs.replace(message, body=message.body[:-1] + b"\x00"))
        super().hear(source, message)


LIARS: tuple[type[Liar], ...] = (
    Silent,
    Half,
    Equivocates,
    VotesForEverything,
    VotesForOthers,
    Forges,
    InventsRequests,
    Censors,
    WantsAnotherView,
    ForgetsWhatWasPrepared,
    InventsProofs,
    FalseCheckpoints,
    Replays,
    Babbles,
)
