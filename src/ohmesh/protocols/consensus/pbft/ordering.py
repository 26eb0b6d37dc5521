"""How a committee orders requests within one view: propose, prepare, commit, execute, checkpoint.

Source: Castro and Liskov 1999, sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ohmesh.protocols.consensus.pbft.messages import (
    Ask,
    AskState,
    Body,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    Prepared,
    PrePrepare,
    Proposal,
    Request,
    Sign,
    Signed,
    State,
    Verify,
    ViewChange,
    digest_of,
    digest_of_state,
    encode_body,
)
from ohmesh.protocols.consensus.pbft.proofs import Proofs
from ohmesh.protocols.consensus.pbft.settings import PbftSettings, check_members, faults_of
from ohmesh.protocols.consensus.pbft.slot import Slot

ALL = ""


@dataclass(slots=True)
class Ready:
    """messages: to whom (ALL: to every other) and what. batches: to be executed, each under its number. wants_state:
    hand in the state after that batch. restored: forget the state, this is what it is after that number."""

    messages: list[tuple[str, Message]] = field(default_factory=list)
    batches: list[tuple[int, tuple[Request, ...]]] = field(default_factory=list)
    wants_state: int = 0
    restored: State | None = None


class Ordering:
    def __init__(
        self,
        own: str,
        members: tuple[str, ...],
        keys: tuple[Sign, Verify],
        settings: PbftSettings | None = None,
    ) -> None:
        """Raises InvalidArgument: too few or too many members."""
        check_members(members)
        self.id, self.members, self.settings = own, members, settings or PbftSettings()
        self.faults = faults_of(len(members))
        self.view = self.stable = self.executed = 0
        self.is_changing = False  # between two views nothing is proposed, prepared or committed
        sign, verify = keys
        self._sign = sign
        self._proofs = self._proofs_of(members, verify)
        self._slots: dict[int, Slot] = {}
        self._next = 1  # the primary's next number
        self._waiting: OrderedDict[tuple[str, int], Request] = OrderedDict()
        self._done: dict[str, int] = {}  # the last number executed of each client
        self._proposed: set[tuple[str, int]] = set()
        self._checkpoints: dict[int, dict[str, Signed]] = {}
        self._states: dict[int, bytes] = {}
        self._stable_proof: tuple[Signed, ...] = ()
        self._prepared: dict[int, Prepared] = {}  # the latest of each number, whatever the view
        self._changes: dict[int, dict[str, Signed]] = {}
        self._due_ms: float | None = None
        self._patience = 0
        self._resend_ms: float | None = None
        self._new_view: NewView | None = None
        self._is_held = False
        self._ready = Ready()

    def _proofs_of(self, members: tuple[str, ...], verify: Verify) -> Proofs:
        return Proofs(members, verify)

    # -- what the driver sees

    @property
    def primary(self) -> str:
        return self._proofs.primary_of(self.view)

    @property
    def due_ms(self) -> float:
        times = [each for each in (self._due_ms, self._resend_ms) if each is not None]
        return min(times, default=float("inf"))

    def take(self) -> Ready:
        ready, self._ready = self._ready, Ready()
        return ready

    def request(self, request: Request, now_ms: float) -> None:
        """Of a client, or passed on. Who has executed it answers it again from what it kept."""
        key = (request.client, request.number)
        if request.number <= self._done.get(request.client, -1) or key in self._waiting:
            return
        if len(self._waiting) >= self.settings.waiting:
            return
        self._waiting[key] = request
        if self._due_ms is None:
            self._wait(now_ms)
        if self.id == self.primary:
            self._propose()
        else:
            self._ready.messages.append((self.primary, Ask(request)))

    def checkpointed(self, sequence: int, data: bytes) -> None:
        """The state after that number, as it was asked for."""
        self._states[sequence] = data
        self._say(Checkpoint(sequence, digest_of_state(data)))

    def _slot(self, view: int, sequence: int) -> Slot | None:
        """None: of another view, or outside of the watermarks (4.2)."""
        if view != self.view or not self.stable < sequence <= self.stable + self.settings.window:
            return None
        slot = self._slots.get(sequence)
        if slot is None or slot.view != view:
            slot = self._slots[sequence] = Slot(view)
        return slot

    def _hear_proposal(self, proposal: Proposal, now_ms: float) -> None:
        body = self._proofs.proposal(proposal)
        if body is None or self.is_changing:
            return
        slot = self._slot(body.view, body.sequence)
        if slot is None or slot.proposal is not None:
            return  # a second one under this number is never taken in this view
        self._accept(slot, body, proposal, now_ms)

    def _accept(self, slot: Slot, body: PrePrepare, proposal: Proposal, now_ms: float) -> None:
        slot.proposal, slot.digest = proposal, body.digest
        for request in proposal.requests:
            key = (request.client, request.number)
            if request.number > self._done.get(request.client, -1):
                self._waiting.setdefault(key, request)
                self._proposed.add(key)
        if self._due_ms is None and self._waiting:
            self._wait(now_ms)
        if self.id != self.primary:
            self._say(Prepare(body.view, body.sequence, body.digest))
        self._advance(body.sequence, now_ms)

    def _advance(self, sequence: int, now_ms: float) -> None:
        slot, quorum = self._slots[sequence], self._proofs.quorum
        if self.is_changing or not slot.prepared_by(quorum, self.primary):
            return
        if not slot.has_committed:
            slot.has_committed = True
            self._prepared[sequence] = slot.proof()
            self._say(Commit(slot.view, sequence, slot.digest))
        self._execute(now_ms)

    def _execute(self, now_ms: float) -> None:
        """In the order of their numbers; a request that stands twice is executed once."""
        while not self._is_held:
            slot = self._slots.get(self.executed + 1)
            if (
                slot is None
                or slot.view != self.view
                or not slot.is_committed(self._proofs.quorum, self.primary)
            ):
                break
            assert slot.proposal is not None
            self.executed += 1
            batch = tuple(self._fresh(slot.proposal.requests))
            self._ready.batches.append((self.executed, batch))
            self._patience = 0
            if self.executed % self.settings.checkpoint == 0:
                self._ready.wants_state = self.executed
                self._is_held = True  # the state is to be handed in before it moves on
                return
            self._due_ms = None
            if self._waiting:
                self._wait(now_ms)
        if self.id == self.primary:
            self._propose()

    def go_on(self, now_ms: float) -> None:
        """The state that was asked for has been handed in."""
        self._is_held = False
        self._due_ms = None
        if self._waiting:
            self._wait(now_ms)
        self._execute(now_ms)

    def _fresh(self, requests: Sequence[Request]) -> list[Request]:
        found = []
        for request in requests:
            self._waiting.pop((request.client, request.number), None)
            self._proposed.discard((request.client, request.number))
            if request.number > self._done.get(request.client, -1):
                self._done[request.client] = request.number
                found.append(request)
        return found

    def _propose(self) -> None:
        settings = self.settings
        while not self.is_changing and self._next <= self.stable + settings.window:
            if self._next - self.executed > settings.in_flight:
                return
            batch = [request for key, request in self._waiting.items() if key not in self._proposed]
            if not batch:
                return
            self._offer(self._next, tuple(batch[: settings.batch]))
            self._next += 1

    def _offer(self, sequence: int, requests: tuple[Request, ...]) -> None:
        body = PrePrepare(self.view, sequence, digest_of(requests))
        proposal = Proposal(self._signed(body), requests)
        slot = self._slot(self.view, sequence)
        assert slot is not None
        slot.proposal, slot.digest = proposal, body.digest
        self._proposed |= {(request.client, request.number) for request in requests}
        self._ready.messages.append((ALL, proposal))

    # -- checkpoints and state

    def _hear_checkpoint(self, signed: Signed, body: Checkpoint, now_ms: float) -> None:
        if not self.stable < body.sequence <= self.stable + 4 * self.settings.window:
            return
        known = self._checkpoints.setdefault(body.sequence, {})
        known.setdefault(signed.source, signed)
        proof = tuple(known.values())
        digest = self._proofs.stable(body.sequence, proof)
        if digest is None:
            return
        if body.sequence > self.executed:
            self._ready.messages.append((ALL, AskState(self.executed, self.stable)))
        elif digest_of_state(self._states.get(body.sequence, b"")) == digest:
            self._stabilise(body.sequence, proof)

    def _stabilise(self, sequence: int, proof: tuple[Signed, ...]) -> None:
        """Nothing up to there is needed any more (4.3)."""
        self.stable, self._stable_proof = sequence, proof
        self._slots = {at: slot for at, slot in self._slots.items() if at > sequence}
        self._prepared = {at: proved for at, proved in self._prepared.items() if at > sequence}
        self._checkpoints = {at: each for at, each in self._checkpoints.items() if at > sequence}
        self._states = {at: data for at, data in self._states.items() if at >= sequence}
        self._next = max(self._next, sequence + 1)

    def _give_state(self, source: str, message: AskState) -> None:
        if self.stable > message.stable and self.stable in self._states:
            state = State(self.stable, self._states[self.stable], self._stable_proof, self.view)
            self._ready.messages.append((source, state))
        if not self.is_changing:
            if self._new_view is not None:
                self._ready.messages.append((source, self._new_view))
            self._tell_slots(source, message.sequence)

    def _take_state(self, state: State, now_ms: float) -> None:
        """Only with a quorum's word for it. The view that it names is not believed; new views prove themselves."""
        if state.sequence <= self.stable:
            return
        if self._proofs.stable(state.sequence, state.proof) != digest_of_state(state.data):
            return
        if state.sequence <= self.executed:
            if self._states.get(state.sequence) == state.data:
                self._stabilise(state.sequence, state.proof)  # we were there; what lacked was enough vouchers
            return
        self.executed = state.sequence
        self._states[state.sequence] = state.data
        self._stabilise(state.sequence, state.proof)
        self._ready.restored = state
        self._ready.batches.clear()
        self._ready.wants_state = 0
        self._is_held = True  # until it is known what of the clients is executed in it

    def restored(self, done: dict[str, int], now_ms: float) -> None:
        """The state is restored; `done`: the last number of each client that is executed in it."""
        self._done = dict(done)
        for key in [key for key in self._waiting if key[1] <= self._done.get(key[0], -1)]:
            del self._waiting[key]
        self.go_on(now_ms)

    # -- waiting and asking again

    def _wait(self, now_ms: float) -> None:
        self._due_ms = now_ms + self.settings.timeout_ms * 2.0**self._patience
        if self._resend_ms is None:
            self._resend_ms = now_ms + self.settings.resend_ms

    def _ask_again(self, now_ms: float) -> None:
        """Whatever may have got lost on the way here, or from here."""
        if not self._waiting and not self.is_changing:
            self._resend_ms = None
            return
        self._resend_ms = now_ms + self.settings.resend_ms
        if self.is_changing:
            own = self._changes.get(self.view, {}).get(self.id)
            if own is not None:
                self._ready.messages.append((ALL, own))
            return
        self._ready.messages.append((ALL, AskState(self.executed, self.stable)))
        for request in list(self._waiting.values())[: self.settings.batch]:
            self._ready.messages.append((self.primary, Ask(request)))
        self._tell_slots(ALL, self.executed)

    def _tell_slots(self, to: str, after: int) -> None:
        """What we have said of the numbers behind `after`, in this view, and of states that are not stable yet."""
        for known in self._checkpoints.values():
            if self.id in known:
                self._ready.messages.append((to, known[self.id]))
        for sequence in range(max(after, self.stable) + 1, self._highest() + 1):
            slot = self._slots.get(sequence)
            if slot is None or slot.view != self.view or slot.proposal is None:
                continue
            self._ready.messages.append((to, slot.proposal))
            own = slot.prepares.get(slot.digest, {}).get(self.id)
            if own is not None:
                self._ready.messages.append((to, own))
            if slot.has_committed:
                commit = Commit(slot.view, sequence, slot.digest)
                self._ready.messages.append((to, self._signed(commit)))

    def _highest(self) -> int:
        return max(self._slots, default=self.stable)

    # -- saying

    def _signed(self, body: Body) -> Signed:
        data = encode_body(body)
        return Signed(self.id, data, self._sign(data))

    def _say(self, body: Body) -> None:
        """To all, ourselves included."""
        signed = self._signed(body)
        self._ready.messages.append((ALL, signed))
        match body:
            case Prepare():
                self._slots[body.sequence].prepares.setdefault(body.digest, {})[self.id] = signed
            case Commit():
                self._slots[body.sequence].commits.setdefault(body.digest, set()).add(self.id)
            case Checkpoint():
                self._hear_checkpoint(signed, body, 0.0)
            case ViewChange():
                self._changes.setdefault(body.view, {})[self.id] = signed
            case _:
                pass
