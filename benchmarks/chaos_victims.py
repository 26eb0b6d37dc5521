"""Whom benchmarks/chaos.py kills, stops and continues: workers, their runners, nodes, the HTTP door and nats-server.

Every kind of victim is dealt as often as any other, killed and stopped, in an order and at times that the seed gives.
Only processes of the run itself are touched, each through psutil, which never takes another process with the same pid.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter

import psutil  # type: ignore[import-untyped]  # it ships no types

from benchmarks.mesh_processes import MeshProcesses

KINDS = ("worker", "runner", "node", "api", "engine")
STOPPED_S = (0.2, 6.0)  # leases of the local profile last three seconds
WORKER_BACK_S = 0.3


class Victims:
    """`kills` and `stops` count what was done to whom."""

    def __init__(self, mesh: MeshProcesses, rng: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self._mesh = mesh
        self._rng = rng
        self._stopped: dict[psutil.Process, asyncio.Task[None]] = {}

    async def harass(self, between_s: float) -> None:
        """One after the other, for ever: a kill or a stop about every `between_s`."""
        while True:
            deck = list(itertools.product(KINDS, ("kill", "stop")))
            self._rng.shuffle(deck)
            for what, how in deck:
                await asyncio.sleep(between_s * self._rng.uniform(0.5, 1.5))
                chance, stopped_s = self._rng.random(), self._rng.uniform(*STOPPED_S)
                there = self._of_kind(what)
                if not there:
                    continue  # it was killed just now, and is on its way back
                victim = there[int(chance * len(there))]
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._kill(what, victim) if how == "kill" else self._stop(what, victim, stopped_s)

    async def keep_workers(self, start: list[tuple[str, ...]]) -> None:
        """Start each worker, and again whenever it is gone. (Nodes, the door and the engine are `up`'s to replace.)"""
        while True:
            for number, arguments in enumerate(start, 1):
                name = f"worker-{number}"
                process = self._mesh.commands.get(name)
                if process is None or process.poll() is not None:
                    self._mesh.start(name, *arguments, "--name", name)
            await asyncio.sleep(WORKER_BACK_S)
            self._mesh.below("up")  # so that whoever loses its parent is known, and ended at last

    def continue_all(self) -> None:
        for process, waker in list(self._stopped.items()):
            waker.cancel()
            self._continue(process)

    def _of_kind(self, what: str) -> list[psutil.Process]:
        workers = [name for name in self._mesh.commands if name.startswith("worker")]
        if what == "worker":
            return [self._mesh.commands[name] for name in workers if self._mesh.commands[name].is_running()]
        if what == "runner":
            return [child for name in workers for child in self._mesh.below(name)]
        return [process for process in self._mesh.below("up") if is_kind(process, what)]

    def _kill(self, what: str, victim: psutil.Process) -> None:
        victim.kill()
        self.kills[what] += 1

    def _stop(self, what: str, victim: psutil.Process, stopped_s: float) -> None:
        if victim in self._stopped:
            return
        victim.suspend()
        self.stops[what] += 1
        self._stopped[victim] = asyncio.create_task(self._continue_later(victim, stopped_s))

    async def _continue_later(self, victim: psutil.Process, stopped_s: float) -> None:
        await asyncio.sleep(stopped_s)
        self._continue(victim)

    def _continue(self, victim: psutil.Process) -> None:
        self._stopped.pop(victim, None)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.resume()


def is_kind(process: psutil.Process, what: str) -> bool:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return False
    if what == "engine":
        return bool(words) and "nats-server" in words[0]
    return words[1:4] == ["-m", "ohmesh", what]
