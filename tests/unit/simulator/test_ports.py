"""Clock and entropy of a simulated process."""

from __future__ import annotations

import asyncio

from ohmesh.simulator.clock import EPOCH_MS, SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy, stream
from tests.unit.simulator.passing_time import in_virtual_time, pass_time


def test_a_wall_clock_may_be_wrong_drift_and_step_while_the_monotonic_one_only_drifts() -> None:
    async def main() -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()
        clock = SimulatedClock(loop, offset_ms=-500, drift_ppm=1000, zero_ms=7000)
        read = [(clock.now_ms() - EPOCH_MS, clock.monotonic_ms())]
        await pass_time(100.0)
        read.append((clock.now_ms() - EPOCH_MS, clock.monotonic_ms()))
        clock.step(-10_000)
        read.append((clock.now_ms() - EPOCH_MS, clock.monotonic_ms()))
        return read

    assert in_virtual_time(main()) == [(-500, 7000), (99_600, 107_100), (89_600, 107_100)]


def test_streams_depend_on_seed_and_name_only() -> None:
    assert stream(1, "a").random() == stream(1, "a").random()
    assert len({stream(seed, name).random() for seed in (1, 2) for name in ("a", "b")}) == 4


def test_entropy_draws_alike_for_one_seed_and_name() -> None:
    def draws(seed: int, name: str) -> list[float]:
        entropy = SimulatedEntropy(seed, name)
        return [entropy.bits(50), entropy.rng().random(), entropy.rng().random(), entropy.bits(10)]

    assert draws(1, "p") == draws(1, "p")
    assert draws(1, "p") != draws(1, "q")
    assert draws(1, "p") != draws(2, "p")
    assert 0 <= SimulatedEntropy(5, "x").bits(3) < 8
