"""Writers that race for one log under every fault there is: a world in which much happens, for tests of determinism."""

from __future__ import annotations

import asyncio

from ohmesh.errors import EngineError
from ohmesh.simulator.faults import FaultOptions, draw_engine_faults, draw_script, play
from ohmesh.simulator.process import Process
from ohmesh.simulator.world import World


async def busy_world(world: World) -> int:
    """Writers that race for one log under every fault; returns how many messages were heard."""

    async def write(process: Process) -> None:
        log = process.engine.log
        while True:
            try:
                await log.create("log")
                async with asyncio.timeout(5):
                    last = (await log.bounds("log")).last
                    data = process.entropy.bits(64).to_bytes(8, "big")
                    await log.append("log", data, expected=last)
                await process.engine.state.put(f"at.{process.name}", data, ttl_ms=3000)
                await process.engine.bus.publish("beat", data)
            except (EngineError, TimeoutError):
                pass
            await asyncio.sleep(process.entropy.rng().uniform(0.05, 0.2))

    world.cluster.set_faults(draw_engine_faults(world.rng("weather")))
    names = [f"writer-{number}" for number in range(3)]
    for name in names:
        world.start(name, write)
    heard: list[bytes] = []
    await world.cluster.connect("ear").bus.subscribe("beat", lambda message: heard.append(message.data))
    play(world, draw_script(world.rng("script"), names, FaultOptions(during_s=15.0)))
    await asyncio.sleep(20.0)
    world.heal()
    await asyncio.sleep(5.0)
    entries = world.cluster.history("log")
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    return len(heard)
