"""What SWIM promises of a whole group, in figures. OHMESH_SOAK=1 takes the samples that the exact figures need."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial

import pytest

from ohmesh.protocols.membership.swim.messages import Standing
from ohmesh.protocols.membership.swim.settings import LAN, SwimSettings
from ohmesh.simulator.machines import NetworkFaults
from tests.simulation.swim.group import Group

IS_SOAK = bool(os.environ.get("OHMESH_SOAK"))
GOSSIP_MS = LAN.gossip_ms


def rounds_of_serf(members: int, loss: float = 0.0) -> int:
    """Rounds until 99.99 % have heard: 1 / (1 + (n + 1) * exp(-0.5 * fanout * (1 - loss) * t))."""
    growth = 0.5 * LAN.fanout * (1 - loss)
    return math.ceil(math.log(0.9999 * (members + 1) / 0.0001) / growth)


@pytest.mark.parametrize(
    ("members", "loss", "seeds"),
    [
        (31, 0.0, 200 if IS_SOAK else 20),
        (100, 0.05, 100 if IS_SOAK else 5),
        (1000, 0.0, 20) if IS_SOAK else (300, 0.0, 1),
    ],
)
def test_everybody_hears_within_the_rounds_of_serfs_formula(members: int, loss: float, seeds: int) -> None:
    late = 0
    for seed in range(seeds):
        group = Group(seed, members, faults=NetworkFaults(delay_ms=(0.2, 2.0), loss=loss))
        group.know_each_other()
        group.nodes["n00003"].swim.say(b"news", group.world.now_ms)
        limit = 1.25 * rounds_of_serf(members, loss) * GOSSIP_MS
        late += not group.run_ms(limit, partial(group.have_heard, "n00003", 2))
    assert late <= 0.05 * seeds


def test_a_dead_member_is_asked_for_the_first_time_after_one_and_a_half_periods() -> None:
    """SWIM, section 3.1: 1 / (1 - 1/e) = 1.58 periods on average, and 5 at p99."""
    samples = []
    for seed in range(1500 if IS_SOAK else 60):
        group = Group(seed, 31)
        group.know_each_other()
        group.run_ms(group.world.rng.uniform(0, 2000))
        died_ms = group.world.now_ms
        group.nodes["n00007"].crash()
        assert group.run_ms(20_000, partial(group.is_talked_of, "n00007"))
        asked_ms = group.world.now_ms - LAN.period_ms
        samples.append(max(1, math.ceil((asked_ms - died_ms) / LAN.period_ms)))
    mean = sum(samples) / len(samples)
    error = 0.05 if IS_SOAK else 0.4
    assert mean == pytest.approx(1.0 / (1.0 - math.exp(-1)), abs=error)
    late = sum(each > 5 for each in samples)
    assert late <= (0.01 if IS_SOAK else 0.05) * len(samples)


def test_at_five_percent_loss_nobody_is_held_for_dead() -> None:
    group = Group(4, 31, faults=NetworkFaults(delay_ms=(0.2, 2.0), loss=0.05))
    group.know_each_other()
    group.run_ms(3_000_000 if IS_SOAK else 60_000)
    assert not group.false_deaths


def false_deaths(settings: SwimSettings, seed: int, stalled: int) -> int:
    """Healthy members that healthy members hold for dead while others stall for 1 to 32 s, again and again."""
    group = Group(seed, 100, settings=settings)
    group.know_each_other()
    sick = group.names[::7][:stalled]

    def stall(name: str) -> None:
        duration_ms = group.world.rng.uniform(1000, 32_000)
        group.nodes[name].stall(duration_ms)
        group.world.after(duration_ms + group.world.rng.uniform(16, 1000), partial(stall, name))

    for name in sick:
        group.world.after(group.world.rng.uniform(0, 3000), partial(stall, name))
    group.run_ms(60_000)
    return sum(who not in sick and member not in sick for who, member in group.false_deaths)


def test_members_that_stall_cost_healthy_ones_fifty_times_less_than_in_plain_swim() -> None:
    plain = replace(LAN, slowest=1, patience=1)
    seeds, stalled = (range(6), (1, 4, 8, 16, 32)) if IS_SOAK else (range(1), (4,))
    ours = sum(false_deaths(LAN, seed, count) for seed in seeds for count in stalled)
    theirs = sum(false_deaths(plain, seed, count) for seed in seeds for count in stalled)
    assert theirs >= 50 * max(1, ours)


def test_a_killed_one_of_fifty_is_confirmed_by_all_within_ten_seconds() -> None:
    taken = []
    for seed in range(50 if IS_SOAK else 5):
        group = Group(seed, 50)
        group.know_each_other()
        group.run_ms(group.world.rng.uniform(0, 2000))
        died_ms = group.world.now_ms
        group.nodes["n00007"].crash()
        assert group.run_ms(60_000, partial(group.all_hold, "n00007", Standing.DEAD))
        taken.append(group.world.now_ms - died_ms)
    assert max(taken) <= 10_000


def test_fifty_that_join_through_one_are_known_to_all_within_a_second() -> None:
    group = Group(5, 50)
    group.nodes[group.names[0]].start()
    for name in group.names[1:]:
        group.nodes[name].start([group.names[0]])
    assert group.run_ms(1000, group.all_agree)


def test_half_a_group_that_starts_again_with_its_incarnations_reset_is_whole_again() -> None:
    group = Group(9, 40)
    group.know_each_other()
    for _ in range(20):
        for name in group.names[::2]:
            group.nodes[name].swim.say(b"", group.world.now_ms)
    group.run_ms(5000)
    for name in group.names[::2]:
        group.nodes[name].crash()
    group.run_ms(15_000)
    for name in group.names[::2]:
        group.nodes[name].start([group.names[1]])
    assert group.run_ms(2 * LAN.exchange_ms, group.all_agree)


@pytest.mark.parametrize("larger", [10, 12])
def test_a_partition_that_outlasts_every_memory_heals_within_two_exchanges(larger: int) -> None:
    settings = replace(LAN, remember_ms=5000)
    group = Group(3, 20, settings=settings)
    group.know_each_other()
    one, other = group.names[:larger], group.names[larger:]
    group.network.part(one, other)
    group.run_ms(10 * settings.suspicion_ms(20) * settings.slowest / 4)
    assert {len([each for each in group.nodes[name].swim.members if each.is_here]) for name in group.names} == {
        larger, 20 - larger
    }  # fmt: skip
    group.network.heal()
    assert group.run_ms(2 * settings.exchange_every_ms(20), group.all_agree)


def test_who_leaves_is_known_to_have_left_and_nobody_is_suspected() -> None:
    group = Group(2, 31)
    group.know_each_other()
    leaver = group.nodes["n00004"]
    leaver.swim.leave(group.world.now_ms)
    group.run_ms(3000, lambda: leaver.swim.has_told)
    leaver.crash()
    group.run_ms(5000)
    assert group.share_that_holds("n00004", Standing.LEFT) == 1.0
