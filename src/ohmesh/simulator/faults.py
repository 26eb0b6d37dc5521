"""Scripts of faults drawn from a seed: what happens to whom, when, and for how long.

A script is data, so it can be printed, cut down to the smallest that fails, and played again. Engine faults are drawn
as a swarm: each is switched on or off for a whole run, so that rare combinations do occur.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from functools import partial

from msgspec import Struct

from ohmesh.engines.memory.faults import BusFaults, CallFaults, EngineFaults, Range
from ohmesh.simulator.process import Condition
from ohmesh.simulator.world import World


class FaultKind(StrEnum):
    CRASH = "crash"
    PAUSE = "pause"
    SUSPEND = "suspend"
    PARTITION = "partition"
    KILL_SERVER = "kill_server"
    PAUSE_SERVER = "pause_server"
    POWER_CUT = "power_cut"


_OF_PROCESSES = (FaultKind.CRASH, FaultKind.PAUSE, FaultKind.SUSPEND, FaultKind.PARTITION)


class Fault(Struct, frozen=True):
    """`target` is a process, "" the server."""

    at_s: float
    kind: FaultKind
    target: str
    lasts_s: float


class FaultOptions(Struct, frozen=True, kw_only=True):
    """Faults begin within `during_s`, one after a pause of `gap_s` from the last; ranges are (low, high) seconds.

    The weights say how often each kind comes, relative to the others. A power cut loses acknowledged data where
    durable_every_ms is set, so it is left out unless a test asks for it.
    """

    during_s: float = 30.0
    gap_s: Range = (0.5, 5.0)
    lasts_s: Range = (0.1, 6.0)
    crash: float = 3.0
    pause: float = 2.0
    suspend: float = 2.0
    partition: float = 2.0
    kill_server: float = 1.0
    pause_server: float = 1.0
    power_cut: float = 0.0


def draw_script(
    rng: random.Random, targets: Sequence[str], options: FaultOptions | None = None
) -> list[Fault]:
    """Faults in the order of their beginning; `targets` are the processes that may suffer them."""
    options = options or FaultOptions()
    kinds = [kind for kind in FaultKind if targets or kind not in _OF_PROCESSES]
    weights = [float(getattr(options, kind.value)) for kind in kinds]
    script: list[Fault] = []
    at_s = rng.uniform(*options.gap_s)
    while at_s < options.during_s and any(weights):
        kind = rng.choices(kinds, weights)[0]
        target = rng.choice(targets) if kind in _OF_PROCESSES else ""
        script.append(Fault(at_s, kind, target, rng.uniform(*options.lasts_s)))
        at_s += rng.uniform(*options.gap_s)
    return script


def play(world: World, script: Sequence[Fault]) -> None:
    """Set the timers of a script; its times count from now. `world.heal()` ends it early."""
    begin_s = world.loop.time()
    for fault in script:
        world.at(begin_s + fault.at_s, partial(_begin, world, fault))
        world.at(begin_s + fault.at_s + fault.lasts_s, partial(_end, world, fault))


def draw_engine_faults(rng: random.Random) -> EngineFaults:
    """A swarm: delays always, every other fault with an even chance, of a severity of its own."""

    def chance(most: float) -> float:
        return rng.uniform(0.0, most) if rng.random() < 0.5 else 0.0

    def calls(most: float) -> CallFaults:
        return CallFaults(
            delay_ms=(0.1, rng.uniform(0.5, 20.0)),
            slow=chance(most),
            request_lost=chance(most),
            ack_lost=chance(most),
            late=chance(most),
            refused=chance(most),
        )

    return EngineFaults(
        bus=BusFaults(delay_ms=(0.1, rng.uniform(0.5, 30.0)), loss=chance(0.1), duplication=chance(0.2)),
        append=calls(0.1),
        read=calls(0.05),
        state=calls(0.05),
        blobs=calls(0.1),
        watch_delay_ms=(0.1, rng.uniform(1.0, 300.0)),
    )


def _begin(world: World, fault: Fault) -> None:
    world.trace.record("fault", f"{fault.kind} {fault.target} {fault.lasts_s:.3f}")
    cluster = world.cluster
    if fault.kind is FaultKind.CRASH:
        world.crash(fault.target)
    elif fault.kind is FaultKind.PAUSE:
        world.pause(fault.target)
    elif fault.kind is FaultKind.SUSPEND:
        world.suspend(fault.target)
    elif fault.kind is FaultKind.PARTITION:
        cluster.partition(fault.target)
    elif fault.kind is FaultKind.KILL_SERVER:
        cluster.kill_server()
    elif fault.kind is FaultKind.PAUSE_SERVER:
        cluster.pause_server()
    else:
        cluster.power_cut(torn=True)


def _end(world: World, fault: Fault) -> None:
    cluster = world.cluster
    if fault.kind is FaultKind.CRASH:
        if world.processes[fault.target].condition is Condition.CRASHED:
            world.restart(fault.target)
    elif fault.kind in (FaultKind.PAUSE, FaultKind.SUSPEND):
        world.resume(fault.target)
    elif fault.kind is FaultKind.PARTITION:
        cluster.heal(fault.target)
    elif fault.kind is FaultKind.PAUSE_SERVER:
        cluster.resume_server()
    else:
        cluster.start_server()
