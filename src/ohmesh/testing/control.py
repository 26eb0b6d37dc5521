"""What a scenario does to its mesh: let time pass, kill, stop, cut off, spoil, and heal.

Names are `worker-1`, `worker-2`, ..., `node-1`, ..., and `program` for the scenario's own client. What is killed or
stopped runs nothing until it is brought back: code of a killed worker runs no `finally` either, until the run is over.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from ohmesh.errors import InvalidArgument
from ohmesh.simulator.faults import Fault, FaultOptions, draw_script, play
from ohmesh.simulator.process import Condition
from ohmesh.simulator.world import World
from ohmesh.testing.faults import Faults, engine_faults
from ohmesh.testing.plant import PROGRAM, Plant

_LOOK_S = (0.01, 1.0)  # how often a condition is looked at: so soon, and after a long wait so seldom
_LOOK_SHARE = 0.01


class Control:
    def __init__(self, world: World, plant: Plant) -> None:
        self._world = world
        self._plant = plant

    @property
    def seed(self) -> int:
        return self._world.seed

    # Time

    def now(self) -> float:
        """Seconds of virtual time since the run began."""
        return self._world.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], *, within_s: float = 600.0) -> None:
        """Let time pass until `condition()`. TimeoutError after `within_s` seconds of virtual time.

        It is looked at every 10 ms at first, after a long wait every second; an asyncio.Event is exact.
        """
        began_s = self.now()
        while not condition():
            waited_s = self.now() - began_s
            if waited_s >= within_s:
                raise TimeoutError(f"It did not come true within {within_s:g} s of virtual time.")
            await asyncio.sleep(min(max(_LOOK_S[0], waited_s * _LOOK_SHARE), _LOOK_S[1]))

    def rng(self, name: str = "scenario") -> random.Random:
        """Chance that follows from the seed; the same name begins the same stream again."""
        return self._world.rng(name)

    # Processes

    def kill_worker(self, name: str = "worker-1") -> None:
        """kill -9: what it ran is gone, and is given to others once its silence is noticed."""
        self._kill(name, self._plant.workers)

    def restart_worker(self, name: str = "worker-1") -> None:
        """Start one that was killed again, as a new process of the same name."""
        self._restart(name, self._plant.workers)

    def kill_node(self, name: str = "node-1") -> None:
        """The process with the dispatcher; with another node it is taken over once its lease has run out."""
        self._kill(name, self._plant.nodes)

    def restart_node(self, name: str = "node-1") -> None:
        self._restart(name, self._plant.nodes)

    def stop(self, name: str) -> None:
        """SIGSTOP to a worker or a node: it stands still, and knows nothing of it when it goes on."""
        self._world.pause(self._process(name))

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self._world.resume(self._process(name))

    # The engine and the network

    def kill_engine(self) -> None:
        """Of what is on its way some is written and nothing is answered; what was acknowledged stays."""
        self._world.cluster.kill_server()

    def start_engine(self) -> None:
        self._world.cluster.start_server()

    def stop_engine(self) -> None:
        """It takes everything and answers nothing, until it goes on."""
        self._world.cluster.pause_server()

    def engine_goes_on(self) -> None:
        self._world.cluster.resume_server()

    def partition(self, name: str) -> None:
        """Nothing passes between this worker, node or `program` and the engine, until it is healed."""
        self._world.cluster.partition(self._linked(name))

    # Weather and scripts

    def switch(self, faults: Faults) -> None:
        """From now on these go wrong by chance, instead of those before; CALM switches them off."""
        self._world.cluster.set_faults(engine_faults(faults))

    def play(self, script: Sequence[Fault]) -> None:
        """Disasters at their times, counted from now; each ends by itself after `lasts_s`."""
        for fault in script:
            if fault.target:
                self._process(fault.target)
        play(self._world, script)

    def draw(self, options: FaultOptions | None = None, *, name: str = "script") -> list[Fault]:
        """A script drawn from the seed, of workers, nodes and the engine, to be played; a name has one script."""
        return draw_script(
            self.rng(name), [*self._plant.nodes, *self._plant.workers], options or FaultOptions()
        )

    def heal(self, name: str = "") -> None:
        """Everything: no faults, no partition, a running engine, every process back. Or one partition."""
        if name:
            self._world.cluster.heal(self._linked(name))
        else:
            self._world.heal()

    def _kill(self, name: str, among: Sequence[str]) -> None:
        self._world.crash(_one_of(name, among))

    def _restart(self, name: str, among: Sequence[str]) -> None:
        process = self._world.processes[_one_of(name, among)]
        if process.condition is not Condition.CRASHED:
            raise InvalidArgument(
                f"{name!r} is {process.condition}.", hint="Only what was killed is restarted."
            )
        self._world.restart(name)

    def _process(self, name: str) -> str:
        return _one_of(name, [*self._plant.nodes, *self._plant.workers])

    def _linked(self, name: str) -> str:
        return _one_of(name, [*self._plant.nodes, *self._plant.workers, PROGRAM])


def _one_of(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise InvalidArgument(f"There is no {name!r} in this run.", hint=f"There are: {', '.join(names)}.")
    return name
