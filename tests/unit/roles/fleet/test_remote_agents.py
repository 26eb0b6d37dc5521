"""Agents with a connection of their own, as the process sees them that stands in for them."""

from __future__ import annotations

import asyncio

import numpy as np

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.fleet_frame import FleetFrame, decode_fleet_frame, encode_fleet_frame
from ohmesh.model.fleet_message import Freeze, Join
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.subject import FleetPart
from ohmesh.model.topology import parse_place
from ohmesh.ports.bus import Message
from ohmesh.roles.fleet.config import Seat
from ohmesh.roles.fleet.mesh_time import MeshTime
from ohmesh.roles.fleet.remote_agents import RemoteAgents, RemoteSeat
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.fleet.fleet_in_memory import SUBJECTS, TOPOLOGY
from tests.unit.simulator.passing_time import pass_time

PLACE = parse_place("s000.c00.a07")


def test_who_is_frozen_is_told_and_told_again_when_it_joins_anew() -> None:
    async def main() -> list[tuple[str, bool]]:
        cluster, told = MemoryCluster(), list[tuple[str, bool]]()

        def receive(message: Message) -> None:
            bodies = decode_fleet_frame(message.data).bodies
            told.extend((body.target, body.thaw) for body in bodies if isinstance(body, Freeze))

        agent = cluster.connect("agent").bus
        await agent.subscribe(SUBJECTS.agent(PLACE), receive)
        remote = RemoteAgents(
            cluster.connect("host").bus, RemoteSeat(Seat("host", SUBJECTS, TOPOLOGY), 0, 30)
        )
        remote.time = MeshTime(SimulatedClock(asyncio.get_running_loop()), incarnation=1)
        serving = asyncio.create_task(remote.run())
        for incarnation in (1, 2):
            await pass_time(0.1)
            join = FleetFrame(
                FRAME_VERSION, str(PLACE), incarnation, 0, [Join(str(PLACE), "E", (), incarnation)]
            )
            subject = SUBJECTS.cluster(0, 0, FleetPart.HEARTBEATS)
            await agent.publish(subject, encode_fleet_frame(join))
            await pass_time(0.1)
            if incarnation == 1:
                remote.freeze(np.array([7, 8]), thaw=False)
        remote.freeze(np.array([7]), thaw=True)
        await pass_time(0.1)
        serving.cancel()
        return told

    assert run_virtual(main) == [("s000.c00.a07", False), ("s000.c00.a07", False), ("s000.c00.a07", True)]
