"""A simulated committee: replicas that lie in every way that is known, a network that loses, and clients.

Signatures are keyed hashes whose keys only their owner's signer has, so nobody can sign for another; what liars can do
is what they could do with real ones.
"""

from __future__ import annotations

import hashlib
from functools import partial

import msgspec

from ohmesh.errors import SimulationTooLong
from ohmesh.protocols.consensus.pbft.messages import Message, Request, Sign, Verify
from ohmesh.protocols.consensus.pbft.ordering import ALL, Ready
from ohmesh.protocols.consensus.pbft.replica import Replica
from ohmesh.protocols.consensus.pbft.settings import PbftSettings, faults_of
from ohmesh.simulator.machines import MachineWorld, Network, NetworkFaults, draw_network_faults

SETTINGS = PbftSettings(
    checkpoint=4, window=16, timeout_ms=300.0, doublings=4, batch=3, in_flight=4, resend_ms=80.0
)
FAULTS_MS = 3000.0
PATIENCE_MS = 30_000.0


class PromiseBroken(AssertionError):
    pass


def signer(name: str) -> Sign:
    return lambda data: hashlib.blake2b(data, key=name.encode(), digest_size=16).digest()


def verifier() -> Verify:
    return lambda name, data, signature: (
        hashlib.blake2b(data, key=name.encode(), digest_size=16).digest() == signature
    )


class Server:
    """A replica with its state: the list of what was executed, which is its whole history in small."""

    def __init__(self, name: str, committee: Committee, kind: type[Replica]) -> None:
        self.name, self.committee = name, committee
        self.replica = kind(name, committee.names, (signer(name), verifier()), SETTINGS)
        self.log: list[tuple[str, int]] = []
        self.is_up = True

    def start(self) -> None:
        self._tick()

    def hear(self, source: str, message: Message) -> None:
        if self.is_up:
            self.replica.receive(source, message, self.committee.world.now_ms)
            self._go_on()

    def ask(self, request: Request) -> None:
        if self.is_up:
            done = (request.client, request.number) in self.log
            if done:
                self.committee.replied(self, request)
            self.replica.request(request, self.committee.world.now_ms)
            self._go_on()

    def _tick(self) -> None:
        world = self.committee.world
        if self.is_up:
            self.replica.tick(world.now_ms)
            self._go_on()
        world.at(min(max(self.replica.due_ms, world.now_ms + 5.0), world.now_ms + 40.0), self._tick)

    def _go_on(self) -> None:
        while True:
            ready = self.replica.take()
            self.send(ready)
            if ready.restored is not None:
                self.log = [
                    (client, number) for client, number in msgspec.msgpack.decode(ready.restored.data)
                ]
                self.replica.restored(dict(self.log), self.committee.world.now_ms)
                continue
            for _, batch in ready.batches:
                for request in batch:
                    self.log.append((request.client, request.number))
                    self.committee.executed(self, len(self.log), request)
            if ready.wants_state:
                self.replica.checkpointed(ready.wants_state, msgspec.msgpack.encode(self.log))
                self.replica.go_on(self.committee.world.now_ms)
                continue
            if not ready.messages and not ready.batches and ready.restored is None:
                return

    def send(self, ready: Ready) -> None:
        for to, message in ready.messages:
            for other in self.committee.names if to == ALL else (to,):
                if other != self.name:
                    self.say(other, message)

    def say(self, to: str, message: Message) -> None:
        server = self.committee.servers[to]
        self.committee.network.send(self.name, to, partial(server.hear, self.name, message))


class Committee:
    """liars: the classes of the first so many servers in a shuffled order."""

    def __init__(
        self, seed: int, size: int, *, liars: tuple[type[Server], ...] = (), kind: type[Replica] = Replica
    ) -> None:
        self.world = MachineWorld(seed, steps=300_000)
        self.network = Network(self.world, draw_network_faults(self.world.rng))
        self.names = tuple(f"r{number}" for number in range(size))
        order = self.world.rng.sample(self.names, size)
        lying = dict(zip(order, liars, strict=False))
        self.honest = [name for name in self.names if name not in lying]
        self.servers = {name: lying.get(name, Server)(name, self, kind) for name in self.names}
        self.faults = faults_of(size)
        self.history: dict[int, tuple[str, int]] = {}
        self.answers: dict[tuple[str, int], set[str]] = {}
        self._asked = 0
        for server in self.servers.values():
            server.start()

    def run(self) -> None:
        rng = self.world.rng
        for client in range(3):
            self.world.after(rng.uniform(0, 100), partial(self._ask, f"c{client}", 1))
        for _ in range(rng.randint(0, 4)):
            at_ms = rng.uniform(0, FAULTS_MS)
            self.world.after(at_ms, rng.choice((self._part, self._stop_one)))
        try:
            self._run()
        except SimulationTooLong as error:
            raise PromiseBroken(f"they never come to rest: {error}") from error

    def _run(self) -> None:
        self.world.run(FAULTS_MS)
        self.network.heal()
        self.network.faults = NetworkFaults(delay_ms=(1.0, 5.0))
        for server in self.servers.values():
            server.is_up = True
        wanted = self._asked + 3
        if not self.world.run(self.world.now_ms + PATIENCE_MS, lambda: self._finished() >= wanted):
            raise PromiseBroken(
                f"{self._finished()} of {self._asked} requests were answered after the faults stopped"
            )

    def _finished(self) -> int:
        return sum(len(by) > self.faults for by in self.answers.values())

    def _ask(self, client: str, number: int) -> None:
        """To all, again until f + 1 have answered; then the next."""
        key = (client, number)
        if key not in self.answers:
            self.answers[key] = set()
            self._asked += 1
        if len(self.answers[key]) > self.faults:
            self.world.after(self.world.rng.uniform(1, 60), partial(self._ask, client, number + 1))
            return
        request = Request(client, number, b"do")
        for name in self.names:
            self.world.after(self.world.rng.uniform(0.1, 5), partial(self.servers[name].ask, request))
        self.world.after(120.0, partial(self._ask, client, number))

    def executed(self, server: Server, place: int, request: Request) -> None:
        if server.name not in self.honest:
            return
        key = (request.client, request.number)
        known = self.history.setdefault(place, key)
        if known != key:
            raise PromiseBroken(
                f"{server.name} executed {key} as number {place}, where another executed {known}"
            )
        if key not in self.answers:
            raise PromiseBroken(f"{server.name} executed {key}, which no client asked for")
        self.replied(server, request)

    def replied(self, server: Server, request: Request) -> None:
        self.answers.setdefault((request.client, request.number), set()).add(server.name)

    def _part(self) -> None:
        some = self.world.rng.sample(self.names, self.world.rng.randint(1, len(self.names) - 1))
        self.network.part(some, [name for name in self.names if name not in some])
        self.world.after(self.world.rng.uniform(50, 800), self.network.heal)

    def _stop_one(self) -> None:
        server = self.servers[self.world.rng.choice(self.names)]
        server.is_up = False
        self.world.after(self.world.rng.uniform(50, 800), lambda: setattr(server, "is_up", True))
