"""A simulated group of SWIM members: packets that get lost, members that stall, die, part and start again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ohmesh.protocols.membership.swim.messages import Alive, Change, Known, Packet, Standing
from ohmesh.protocols.membership.swim.settings import LAN, SwimSettings
from ohmesh.protocols.membership.swim.swim import Swim
from ohmesh.simulator.machines import MachineWorld, Network, NetworkFaults


class Node:
    """`views` go over a stream, which loses nothing while the way is open."""

    def __init__(self, name: str, group: Group) -> None:
        self.name, self.group = name, group
        self.life = 0
        self.is_up = self.is_stalled = False
        self._held: list[Callable[[], None]] = []

    def start(self, seeds: Iterable[str] = (), recalled: Iterable[Known] = ()) -> None:
        world = self.group.world
        self.life += 1
        self.is_up, self.is_stalled = True, False
        self._held.clear()
        own = Alive(self.name, 1, self.name)
        self.swim = self.group.kind(own, self.group.settings, world.rng.randrange, now_ms=world.now_ms)
        self.swim.recall(recalled, world.now_ms)
        self.swim.join(seeds)
        self._tick(self.life)

    def crash(self) -> None:
        self.is_up = False
        self.life += 1

    def stall(self, duration_ms: float) -> None:
        """Nothing goes out or comes in, while its timers run: what Lifeguard's authors did to their members."""
        self.is_stalled = self.is_up
        self.group.world.after(duration_ms, self.wake)

    def wake(self) -> None:
        self.is_stalled = False
        held, self._held = self._held, []
        for act in held:
            act()

    def hear(self, packet: Packet) -> None:
        self._alive(self.life, partial(self._hear, packet))

    def _hear(self, packet: Packet) -> None:
        self.swim.receive(packet, self.group.world.now_ms)
        self._send()

    def _alive(self, life: int, act: Callable[[], None]) -> None:
        if life != self.life or not self.is_up:
            return
        if self.is_stalled:
            self._held.append(partial(self._alive, life, act))
        else:
            act()

    def _tick(self, life: int) -> None:
        if life != self.life:
            return
        self.swim.tick(self.group.world.now_ms)
        self._send()
        self.group.world.at(max(self.swim.due_ms, self.group.world.now_ms + 1), partial(self._tick, life))

    def _send(self) -> None:
        for packet in self.swim.take():
            self._alive(self.life, partial(self.group.send, self.name, packet))
        for change in self.swim.take_changes():
            self.group.on_change(self, change)


class Group:
    kind: type[Swim] = Swim

    def __init__(
        self, seed: int, size: int, *, settings: SwimSettings = LAN, faults: NetworkFaults | None = None
    ) -> None:
        self.world = MachineWorld(seed, steps=50_000_000)
        self.settings = settings
        self.network = Network(self.world, faults or NetworkFaults(delay_ms=(0.2, 2.0)))
        self.stream = Network(self.world, NetworkFaults(delay_ms=(0.2, 2.0)))
        self.stream.cut = self.network.cut
        self.names = [f"n{number:05}" for number in range(size)]
        self.nodes = {name: Node(name, self) for name in self.names}
        self.changes: list[tuple[float, str, Change]] = []
        self.false_deaths: list[tuple[str, str]] = []

    def know_each_other(self) -> None:
        """All start with the same full view, as after a long quiet time."""
        view = [Known(name, 1, name, b"", Standing.ALIVE) for name in self.names]
        for node in self.nodes.values():
            node.start(recalled=view)
        self.run_ms(30_000, lambda: all(node.swim.has_told for node in self.nodes.values()))
        self.changes.clear()

    def send(self, source: str, packet: Packet) -> None:
        node = self.nodes.get(packet.to)
        if node is not None:
            is_view = packet.message is not None and type(packet.message).__name__ == "View"
            (self.stream if is_view else self.network).send(source, packet.to, partial(node.hear, packet))

    def on_change(self, node: Node, change: Change) -> None:
        self.changes.append((self.world.now_ms, node.name, change))
        accused = self.nodes[change.member]
        if change.standing is Standing.DEAD and accused.is_up and not accused.is_stalled:
            self.false_deaths.append((node.name, change.member))

    def run_ms(self, duration_ms: float, is_done: Callable[[], bool] = lambda: False) -> bool:
        return self.world.run(self.world.now_ms + duration_ms, is_done)

    def have_heard(self, member: str, incarnation: int) -> bool:
        return all(
            (known := node.swim.members.get(member)) is not None and known.incarnation >= incarnation
            for node in self.nodes.values()
        )

    def share_that_holds(self, member: str, standing: Standing) -> float:
        up = [node for node in self.nodes.values() if node.is_up and node.name != member]
        return sum(node.swim.standing(member) is standing for node in up) / len(up)

    def all_hold(self, member: str, standing: Standing) -> bool:
        return self.share_that_holds(member, standing) == 1.0

    def is_talked_of(self, member: str) -> bool:
        return any(change.member == member for _, _, change in self.changes)

    def all_agree(self, here: Iterable[str] | None = None) -> bool:
        """Everybody who is up sees exactly those who are up."""
        up = sorted(here if here is not None else (node.name for node in self.nodes.values() if node.is_up))
        return all(
            sorted(each.id for each in node.swim.members if each.standing is Standing.ALIVE) == up
            for node in self.nodes.values()
            if node.is_up
        )
