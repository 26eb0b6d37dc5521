"""The two processes of benchmarks/bus.py: one sends frames as fast as the other says that it has understood them.

A window of unanswered bytes keeps the sender from running away, as the roles do; what comes with a gap ends the
measurement. The receiver says what it has heard while it works, whenever its turn comes, never by a timer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types
import uvloop

from benchmarks.bus_loads import LOADS
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.ports.bus import Message

MESH = "bench"
WINDOW_BYTES = 8 << 20
HEARD_EVERY_BYTES = 1 << 20
PATIENCE_S = 20.0
SAID = "mesh.bench.f.sender.heard"


class Round(msgspec.Struct):
    """One round of one load; processor seconds of the sender, the server and the receiver."""

    load: str
    counted: int
    frames: int
    bytes: int
    seconds: float
    cpu_s: tuple[float, float, float]


def subject(load: str) -> str:
    return f"mesh.bench.s.0.{load}"


class Receiver:
    """Counts what arrives under one load, and says up to which frame everything has."""

    def __init__(self, load: str) -> None:
        self.load = load
        self.read = LOADS[load].read()
        self.counted = self.sequence = self.unsaid_bytes = 0
        self.due = asyncio.Event()

    def hear(self, message: Message) -> None:
        if not message.data:  # the sender waits for the last frames
            self.due.set()
            return
        self.counted += self.read(message.data[8:])
        sequence = int.from_bytes(message.data[:8], "little")
        if sequence != self.sequence + 1:
            raise SystemExit(f"frame {sequence} came after {self.sequence}")
        self.sequence = sequence
        self.unsaid_bytes += len(message.data)
        if self.unsaid_bytes >= HEARD_EVERY_BYTES:
            self.unsaid_bytes = 0
            self.due.set()


def receive(url: str, seed_file: str, ready: Connection) -> None:
    """Until it is ended."""
    uvloop.run(_receive(url, seed_file, ready))


async def _receive(url: str, seed_file: str, ready: Connection) -> None:
    engine = await NatsEngine.connect(url, mesh=MESH, seed_file=Path(seed_file))
    async with asyncio.TaskGroup() as group:
        for load in LOADS:
            receiver = Receiver(load)
            await engine.bus.subscribe(subject(load), receiver.hear)
            group.create_task(_tell(engine, receiver))
        ready.send([])


async def _tell(engine: NatsEngine, receiver: Receiver) -> None:
    while True:
        await receiver.due.wait()
        receiver.due.clear()
        heard = msgspec.msgpack.encode((receiver.load, receiver.sequence, receiver.counted))
        await engine.bus.publish(SAID, heard)


def send(
    url: str, seed_file: str, others: tuple[int, int], plan: list[tuple[str, float]], answer: Connection
) -> None:
    """Send each load of `plan` for so many seconds; `others` are the process ids of the server and the receiver."""
    answer.send(uvloop.run(_send(url, seed_file, others, plan)))


async def _send(
    url: str, seed_file: str, others: tuple[int, int], plan: list[tuple[str, float]]
) -> list[Round]:
    engine = await NatsEngine.connect(url, mesh=MESH, seed_file=Path(seed_file))
    sender = Sender(engine, [psutil.Process(), *(psutil.Process(pid) for pid in others)])
    await engine.bus.subscribe(SAID, sender.hear)
    rounds = [await sender.round(load, seconds) for load, seconds in plan]
    await engine.close()
    return rounds


class Sender:
    def __init__(self, engine: NatsEngine, processes: list[psutil.Process]) -> None:
        self.bus = engine.bus
        self.processes = processes
        self.makers = {name: load.make() for name, load in LOADS.items()}
        self.sequences = dict.fromkeys(LOADS, 0)
        self.counts = dict.fromkeys(LOADS, 0)
        self.heard = dict.fromkeys(LOADS, (0, 0))
        self.news = asyncio.Event()

    def hear(self, message: Message) -> None:
        load, *heard = msgspec.msgpack.decode(message.data, type=tuple[str, int, int])
        self.heard[load] = (heard[0], heard[1])
        self.news.set()

    async def round(self, load: str, seconds: float) -> Round:
        make, first = self.makers[load], self.sequences[load]
        sequence, sent_bytes = first, 0
        window: deque[tuple[int, int]] = deque()
        before, began = self._spent(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            while window and window[0][0] <= self.heard[load][0]:
                window.popleft()
            if window and sent_bytes - window[0][1] > WINDOW_BYTES:
                await self._news()
                continue
            sequence += 1
            data = sequence.to_bytes(8, "little") + make(sequence)
            window.append((sequence, sent_bytes))
            sent_bytes += len(data)
            await self.bus.publish(subject(load), data)
        await self.bus.publish(subject(load), b"")
        while self.heard[load][0] < sequence:
            await self._news()
        elapsed = time.perf_counter() - began
        spent = tuple(after - start for after, start in zip(self._spent(), before, strict=True))
        counted, self.counts[load] = self.heard[load][1] - self.counts[load], self.heard[load][1]
        self.sequences[load] = sequence
        if counted != (sequence - first) * LOADS[load].in_frame:
            raise SystemExit(f"{counted} of {(sequence - first) * LOADS[load].in_frame} {load} were counted")
        return Round(load, counted, sequence - first, sent_bytes, elapsed, (spent[0], spent[1], spent[2]))

    async def _news(self) -> None:
        self.news.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self.news.wait()

    def _spent(self) -> list[float]:
        times = [process.cpu_times() for process in self.processes]
        return [one.user + one.system for one in times]
