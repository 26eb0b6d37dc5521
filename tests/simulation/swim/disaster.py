"""One seed of disaster in a small group, and what must hold of it.

While packets are lost and members die, start again and leave, nobody who is well is held for dead for long; where
nothing but packets is lost, nobody is at all. After healing, partitions included, all see all who are there.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ohmesh.protocols.membership.swim.messages import Standing
from ohmesh.protocols.membership.swim.settings import LAN
from ohmesh.protocols.membership.swim.swim import Swim
from ohmesh.simulator.machines import NetworkFaults
from tests.simulation.swim.group import Group

SETTINGS = replace(LAN, exchange_ms=4000, remember_ms=10_000)
FAULTS_MS = 15_000.0


class PromiseBroken(AssertionError):
    pass


def run(seed: int, kind: type[Swim] = Swim) -> None:
    group = Group(seed, 5 + seed % 4, settings=SETTINGS)
    group.kind = kind
    rng = group.world.rng
    group.know_each_other()
    story = seed % 3
    group.network.faults = NetworkFaults(
        delay_ms=(0.2, rng.uniform(1, 50)),
        loss=rng.choice((0.0, 0.05, 0.1)),
        duplication=rng.choice((0.0, 0.3)),
    )
    if story == 1:
        _kill_and_start(group)
    elif story == 2:
        _part(group)
    group.run_ms(FAULTS_MS)
    if story == 0 and group.false_deaths:
        raise PromiseBroken(f"seed {seed}: held for dead and well: {group.false_deaths[0]}")
    suspected = sum(change.standing is Standing.SUSPECT for _, _, change in group.changes)
    if story == 0 and suspected > 40:
        raise PromiseBroken(f"seed {seed}: {suspected} suspicions where only packets were lost")
    group.network.heal()
    group.network.faults = NetworkFaults(delay_ms=(0.2, 2.0))
    for node in group.nodes.values():
        node.wake()
        if not node.is_up:
            node.start([name for name in group.names if name != node.name][:2])
    if not group.run_ms(3 * SETTINGS.exchange_ms, group.all_agree):
        raise PromiseBroken(f"seed {seed}: views differ {3 * SETTINGS.exchange_ms} ms after healing")
    _leave(group, seed)


def _kill_and_start(group: Group) -> None:
    rng, at_ms = group.world.rng, 0.0
    while at_ms < FAULTS_MS - 1000:
        node = group.nodes[rng.choice(group.names)]
        act = rng.choice((node.crash, partial(node.stall, rng.uniform(500, 8000))))
        group.world.after(at_ms, act)
        back_ms = min(at_ms + rng.uniform(100, 9000), FAULTS_MS - 1)
        group.world.after(back_ms, partial(_start_again, group, node.name))
        at_ms += rng.uniform(500, 5000)


def _start_again(group: Group, name: str) -> None:
    node = group.nodes[name]
    if not node.is_up:
        node.start([group.world.rng.choice(group.names)])


def _part(group: Group) -> None:
    rng = group.world.rng
    some = rng.sample(group.names, rng.randint(1, len(group.names) - 1))
    rest = [name for name in group.names if name not in some]
    group.world.after(
        rng.uniform(0, 2000), lambda: group.network.part(some, rest, both_ways=rng.random() < 0.7)
    )


def _leave(group: Group, seed: int) -> None:
    leaver = group.nodes[group.world.rng.choice(group.names)]
    leaver.swim.leave(group.world.now_ms)
    group.run_ms(3000, lambda: leaver.swim.has_told)
    leaver.crash()
    if not group.run_ms(
        SETTINGS.exchange_ms, lambda: group.share_that_holds(leaver.name, Standing.LEFT) == 1.0
    ):
        raise PromiseBroken(f"seed {seed}: {leaver.name} left, and not all know it")
