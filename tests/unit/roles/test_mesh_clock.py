"""Mesh time goes on whatever happens to the wall clock."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.roles.mesh_clock import MeshClock


@dataclass
class ByHand:
    wall_ms: int = 1_000_000
    passed_ms: int = 0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ms(self) -> int:
        return self.passed_ms

    def monotonic_us(self) -> int:
        return 1000 * self.passed_ms

    def pass_time(self, duration_ms: int) -> None:
        self.wall_ms += duration_ms
        self.passed_ms += duration_ms


def test_mesh_time_is_the_wall_clock_while_that_goes_forward() -> None:
    hand = ByHand()
    clock = MeshClock(hand)
    hand.pass_time(5)
    assert clock.now_ms() == 1_000_005
    hand.wall_ms += 3_600_000
    assert clock.now_ms() == 4_600_005


def test_after_a_step_back_time_goes_on_at_half_speed_until_the_wall_clock_is_there() -> None:
    hand = ByHand()
    clock = MeshClock(hand)
    clock.now_ms()
    hand.wall_ms -= 10_000
    told = []
    for _ in range(3_000):
        hand.pass_time(10)
        told.append(clock.now_ms())
    assert told == sorted(told)
    assert told[999] == 1_000_000 + 5_000
    assert told[-1] == hand.wall_ms


def test_mesh_time_begins_no_earlier_than_the_last_row() -> None:
    hand = ByHand()
    clock = MeshClock(hand)
    clock.begin(2_000_000)
    assert clock.now_ms() == 2_000_000
    hand.pass_time(1_000)
    assert clock.now_ms() == 2_000_500
