"""Processes with roles that only say that they act, in a simulated world, and a judge of what they say.

A role acts every few milliseconds, asking its process first whether it holds the lease, as a role does before what
cannot be taken back. The judge is outside of the world: what it demands is what the log's fence would otherwise have
to enforce.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from ohmesh.roles.process import Process as RoleProcess
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.simulator.process import Main, Process
from ohmesh.simulator.world import World

ACT_S = 0.02
CONFIG = ProcessConfig()

Life = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    at_s: float
    process: str
    term: int


@dataclass
class RoleWatch:
    """acts: role -> what it did, in order. ends: how often a role was told to end."""

    world: World
    acts: dict[str, list[Act]] = field(default_factory=dict)
    starts: dict[str, list[Act]] = field(default_factory=dict)
    processes: dict[str, RoleProcess] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    ends: int = 0

    def main(
        self,
        roles: tuple[str, ...],
        *,
        lives: Mapping[str, Callable[[Process], Life]] | None = None,
        config: ProcessConfig = CONFIG,
        generation: int = 0,
    ) -> Main:
        """What a process runs; `lives` replaces the acting of single roles."""

        async def main(process: Process) -> None:
            engine = process.engine
            served = RoleProcess(
                engine.state, process.clock, process.entropy, name=process.name, config=config
            )
            self.processes[process.name] = served
            factories: dict[str, Life] = {role: self._life(process, served, role) for role in roles}
            for role, life in (lives or {}).items():
                factories[role] = life(process)
            await served.serve(factories, generation=generation, notice=self.notices.append)

        return main

    def acting(self, role: str, *, within_s: float = 0.1) -> str:
        """Who acts in this role now, "" when nobody does."""
        acts = self.acts.get(role, [])
        return acts[-1].process if acts and acts[-1].at_s >= self.world.loop.time() - within_s else ""

    def check_one_at_a_time(self) -> None:
        """Nobody acts in a role once a later term has, and no two starts of a role have one term."""
        for role, acts in self.acts.items():
            for before, after in itertools.pairwise(acts):
                assert after.term >= before.term, f"{role}: {after} came after {before} of a later term"
                assert after.term > before.term or after.process == before.process, (
                    f"{role}: {before}, {after}"
                )
        for role, starts in self.starts.items():
            terms = [start.term for start in starts]
            assert terms == sorted(set(terms)), f"{role} was started with the terms {terms}"

    async def until_acting(self, roles: tuple[str, ...], *, within_s: float, by: str = "") -> None:
        """Wait until somebody (or `by`) acts in each of these roles, now."""
        deadline_s = self.world.loop.time() + within_s
        while not all(self.acting(role) and by in ("", self.acting(role)) for role in roles):
            idle = {role: self.acting(role) for role in roles}
            assert self.world.loop.time() < deadline_s, (
                f"not within {within_s} s: {idle}; {self.notices[-8:]}"
            )
            await asyncio.sleep(ACT_S)

    def _life(self, process: Process, served: RoleProcess, role: str) -> Life:
        async def live(term: int) -> None:
            loop = self.world.loop
            self.starts.setdefault(role, []).append(Act(loop.time(), process.name, term))
            try:
                while True:
                    if served.holds_lease():
                        self.acts.setdefault(role, []).append(Act(loop.time(), process.name, term))
                    await asyncio.sleep(ACT_S)
            finally:
                self.ends += 1

        return live
