"""The obvious way to reach many agents over NATS: a subscription and a message for each of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nats
import uvloop
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from ohmesh.assembly.supervisor import Supervisor

ROUNDS = 3


async def naive_last_ack_ms(mesh: Supervisor, agents: int, hosts: int) -> float:
    """The median of some rounds, from the first message to the last answer."""
    assert mesh.server is not None
    seed = str(mesh.server.seed_file)
    cuts = [agents * number // hosts for number in range(hosts + 1)]
    children = [
        subprocess.Popen(  # noqa: ASYNC220 -- nothing else runs yet
            [sys.executable, str(Path(__file__)), json.dumps([mesh.url, seed, first, end])],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        for first, end in itertools.pairwise(cuts)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            await asyncio.to_thread(child.stdout.readline)
        times = [await _round(mesh.url, seed, agents) for _ in range(ROUNDS)]
    finally:
        for child in children:
            child.terminate()
            child.wait(30)
    return round(sorted(times)[ROUNDS // 2], 1)


async def _round(url: str, seed: str, agents: int) -> float:
    connection = await nats.connect(url, nkeys_seed=seed)
    done, heard = asyncio.Event(), 0
    inbox = connection.new_inbox()

    async def receive(_message: Msg) -> None:
        nonlocal heard
        heard += 1
        if heard == agents:
            done.set()

    await connection.subscribe(inbox, cb=receive)
    await connection.flush()
    begun_s = time.perf_counter()
    for agent in range(agents):
        await connection.publish(f"naive.{agent}", b"x" * 200, reply=inbox)
    async with asyncio.timeout(60):
        await done.wait()
    elapsed_ms = (time.perf_counter() - begun_s) * 1000
    await connection.close()
    return elapsed_ms


async def _answer(url: str, seed: str, first: int, end: int) -> None:
    connection: NatsClient = await nats.connect(url, nkeys_seed=seed)

    async def receive(message: Msg) -> None:
        await connection.publish(message.reply, b"ready")

    for agent in range(first, end):
        await connection.subscribe(f"naive.{agent}", cb=receive)
    await connection.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_answer(*json.loads(sys.argv[1])))
