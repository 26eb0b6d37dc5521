"""What does one submission cost its client, from the call to the result, without a mesh behind it?

    python benchmarks/client.py [--tasks 200000] [--json]

A dispatcher that accepts and finishes at once answers in the same process over a bus that only calls back; its time is
taken off. What is left is ours: encoding, id, window, frames, decoding, futures. CPU time of one core, in microseconds
for a task with an integer and 200 characters.

    buffered    submit_nowait one by one, then result() of each: nothing waits
    awaited     500 callers at a time, each awaits submit() and result()
    mesh        Mesh.submit_nowait and result() from ordinary code, in another thread than the loop (wall time)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from ohmesh.assembly.system import SystemClock, SystemEntropy  # noqa: E402
from ohmesh.mesh import AsyncMesh, Mesh  # noqa: E402
from ohmesh.mesh.async_mesh import Opening  # noqa: E402
from ohmesh.model.frame import decode_to_dispatcher, encode_frame  # noqa: E402
from ohmesh.model.message import Accepted, Finished, Submit  # noqa: E402
from ohmesh.model.subject import Subjects  # noqa: E402
from ohmesh.model.task import TaskResult, TaskState  # noqa: E402
from ohmesh.ports.bus import Message, Receive  # noqa: E402
from ohmesh.roles.client import Client  # noqa: E402
from ohmesh.roles.client_config import ClientPorts  # noqa: E402

SUBJECTS = Subjects("benchmark")
TEXT = "x" * 200
BURST = 1_000
CALLERS = 500
WINDOW_TASKS = 5_000


class Callback:
    """A bus of one process: a message is a callback; and the subscription of whom it calls."""

    def __init__(self) -> None:
        self.receivers: dict[str, Receive] = {}

    async def publish(self, subject: str, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.receivers[subject], Message(subject, data))

    async def subscribe(self, subject: str, receive: Receive, *, group: str = "") -> Callback:
        self.receivers[subject] = receive
        return self

    async def unsubscribe(self) -> None:
        return

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        raise AssertionError("nothing is asked here")

    def watch_connection(self, notice: Callable[[bool], None]) -> None:
        return

    async def close(self) -> None:
        return


class Yes:
    """The dispatcher: accepts and finishes everything; `cpu_s` is what that took."""

    def __init__(self, bus: Callback) -> None:
        self.bus = bus
        self.cpu_s = 0.0
        bus.receivers[SUBJECTS.dispatcher(0)] = self.receive

    def receive(self, message: Message) -> None:
        began = time.perf_counter()
        answers: list[tuple[str, bytes]] = []
        for body in decode_to_dispatcher(message.data).bodies:
            if isinstance(body, Submit):
                ids = [task.task_id for task in body.tasks]
                results = [TaskResult(task_id, TaskState.SUCCEEDED, b"\x01", None, 1) for task_id in ids]
                to = SUBJECTS.client(body.client)
                answers += [
                    (to, encode_frame("yes", 1, 0, [answer])) for answer in (Accepted(ids), Finished(results))
                ]
        loop = asyncio.get_running_loop()
        for subject, data in answers:
            loop.call_soon(self.bus.receivers[subject], Message(subject, data))
        self.cpu_s += time.perf_counter() - began


@asynccontextmanager
async def connected(made: list[Yes]) -> AsyncIterator[Client]:
    bus = Callback()
    made.append(Yes(bus))
    client = Client(ClientPorts(bus, SystemClock(), SystemEntropy()), subjects=SUBJECTS, shards=1)
    await client.start()
    yield client
    await client.close()


async def buffered(tasks: int) -> dict[str, float]:
    made: list[Yes] = []
    async with Opening(lambda: connected(made)) as mesh:
        began = time.process_time()
        submitting_s = 0.0
        handles = []
        for first in range(0, tasks, BURST):
            at = time.process_time()
            handles += [mesh.submit_nowait("text", number, TEXT) for number in range(first, first + BURST)]
            submitting_s += time.process_time() - at
            await asyncio.sleep(0)
        for handle in handles:
            await handle.result()
        spent_s = time.process_time() - began - made[0].cpu_s
    return {
        "submit_us": micros(submitting_s, tasks),
        "all_us": micros(spent_s, tasks),
        "per_s": round(tasks / spent_s),
    }


async def awaited(tasks: int) -> dict[str, float]:
    made: list[Yes] = []

    async def caller(mesh: AsyncMesh, first: int) -> None:
        for number in range(first, tasks, CALLERS):
            handle = await mesh.submit("text", number, TEXT)
            await handle.result()

    async with Opening(lambda: connected(made)) as mesh:
        began = time.process_time()
        await asyncio.gather(*(caller(mesh, first) for first in range(CALLERS)))
        spent_s = time.process_time() - began - made[0].cpu_s
    return {"all_us": micros(spent_s, tasks), "per_s": round(tasks / spent_s)}


def synchronous(tasks: int) -> dict[str, float]:
    with Mesh(Opening(lambda: connected([]))) as mesh:
        began = time.perf_counter()
        for first in range(0, tasks, WINDOW_TASKS):
            last = min(tasks, first + WINDOW_TASKS)
            handles = [mesh.submit_nowait("text", number, TEXT) for number in range(first, last)]
            for handle in handles:
                handle.result()
        spent_s = time.perf_counter() - began
    return {"wall_us": micros(spent_s, tasks), "per_s": round(tasks / spent_s)}


def micros(seconds: float, tasks: int) -> float:
    return round(seconds / tasks * 1e6, 2)


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tasks = max(BURST, options.tasks // BURST * BURST)
    found: dict[str, object] = {
        "tasks": tasks,
        "buffered": asyncio.run(buffered(tasks)),
        "awaited": asyncio.run(awaited(tasks)),
        "mesh": synchronous(tasks),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "commit": commit(),
    }
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:10} {value}")


if __name__ == "__main__":
    main()
