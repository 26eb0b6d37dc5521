"""Who submits during benchmarks/chaos.py: callers of the Python client and of the HTTP door, and what they write down.

A wish is a number. It is noted before it is first sent, and its id once it was acknowledged, synced to disk before the
caller goes on. Most callers repeat a wish under the same key until it is acknowledged; every so often one gives up
after a moment, as a client does that dies: what became of that wish only the log can say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec

from ohmesh import AsyncMesh, OhmeshError
from ohmesh.roles.client_handle import TaskHandle

KINDS = ("steady", "woven", "wobbly", "steady", "woven")
PRIORITIES = ("LOW", "NORMAL", "HIGH", "CRITICAL")
NAP_S = 0.005
CALLERS = 16  # of each door
TRY_S = 5.0
GIVES_UP_AFTER_S = 0.03
PAUSE_S = 0.1
PAGE = 100


def kind_of(number: int) -> str:
    return "doomed" if number % 101 == 0 else KINDS[number % len(KINDS)]


def is_given_up(number: int) -> bool:
    """Whether the caller of this wish does not wait for its acknowledgement."""
    return number % 23 == 0


class Record:
    """A file that is appended to, a line in one write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._written = 0
        self._synced = 0
        self._syncing = asyncio.Lock()

    def write(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())
        self._written += 1

    async def synced(self) -> None:
        """Return when all that was written is on the disk; one sync does for all callers that wait meanwhile."""
        mine = self._written
        async with self._syncing:
            if self._synced < mine:
                written = self._written
                await asyncio.to_thread(os.fsync, self._file)
                self._synced = written

    def close(self) -> None:
        os.close(self._file)


class Clients:
    """`submit_all`, `until_all_ended`, `see_all`; `acknowledged` are the ids and their wishes."""

    def __init__(self, folder: Path, mesh: AsyncMesh, http: httpx2.AsyncClient) -> None:
        self.acknowledged: dict[str, int] = {}
        self._mesh = mesh
        self._http = http
        self._tried = Record(folder / "tried")
        self._acknowledged = Record(folder / "acknowledged")
        self._seen = Record(folder / "seen")
        self._followers: set[asyncio.Task[None]] = set()

    async def submit_all(self, tasks: int, seconds: float) -> None:
        """Spread over the time; what an outage held up follows as fast as the doors take it."""
        numbers = iter(range(1, tasks + 1))
        began = time.monotonic()

        async def call(door: str) -> None:
            for number in numbers:
                await asyncio.sleep(began + seconds * number / tasks - time.monotonic())
                await self._submit(door, number)

        async with asyncio.TaskGroup() as callers:
            for door in ("python", "http") * CALLERS:
                callers.create_task(call(door))

    async def until_all_ended(self) -> None:
        """Nothing waits, runs or is to be tried again, and every awaited end was told."""
        while True:
            with contextlib.suppress(OhmeshError):
                queues = await self._mesh.queues()
                if not any(queue.queued + queue.running + queue.retrying for queue in queues):
                    break
            await asyncio.sleep(PAUSE_S)
        await asyncio.gather(*self._followers)

    async def see_all(self) -> None:
        """Every acknowledged task once more, in pages through HTTP. Those that came by Python have been awaited."""
        ids = list(self.acknowledged)
        for first in range(0, len(ids), PAGE):
            answer = await self._http.get("/v1/tasks/get", params={"task_ids": ids[first : first + PAGE]})
            answer.raise_for_status()
            for task in answer.json()["tasks"]:
                self._saw(task["task_id"], task["state"], task["value"])

    def close(self) -> None:
        for follower in self._followers:
            follower.cancel()
        for record in (self._tried, self._acknowledged, self._seen):
            record.close()

    async def _submit(self, door: str, number: int) -> None:
        self._tried.write(number, door)
        once = self._once_by_python if door == "python" else self._once_by_http
        patience_s = GIVES_UP_AFTER_S if is_given_up(number) else TRY_S
        while True:
            task_id = ""
            with contextlib.suppress(OhmeshError, TimeoutError, httpx2.TransportError):
                async with asyncio.timeout(patience_s):
                    task_id = await once(number)
            if task_id:
                self._acknowledged.write(number, task_id, door)
                self.acknowledged[task_id] = number
                await self._acknowledged.synced()
            if task_id or is_given_up(number):
                return
            await asyncio.sleep(PAUSE_S)

    async def _once_by_python(self, number: int) -> str:
        handle = await self._mesh.submit(
            kind_of(number),
            number,
            NAP_S,
            key=f"wish-{number}",
            priority=PRIORITIES[number % len(PRIORITIES)],
        )
        follower = asyncio.create_task(self._follow(handle))
        self._followers.add(follower)
        follower.add_done_callback(self._followers.discard)
        return handle.id

    async def _once_by_http(self, number: int) -> str:
        body = {
            "kind": kind_of(number),
            "arguments": [number, NAP_S],
            "priority": PRIORITIES[number % len(PRIORITIES)],
        }
        answer = await self._http.post("/v1/submit", json=body, headers={"Idempotency-Key": f"wish-{number}"})
        if answer.status_code == 202:
            return str(answer.json()["task_id"])
        if answer.status_code not in (409, 429, 503):
            raise AssertionError(f"wish {number} was answered {answer.status_code}: {answer.text}")
        return ""

    async def _follow(self, handle: TaskHandle) -> None:
        end = await handle.end()
        self._saw(handle.id, end.state.value, msgspec.msgpack.decode(end.value) if end.value else None)

    def _saw(self, task_id: str, state: str, value: object) -> None:
        self._seen.write(task_id, state, json.dumps(value, separators=(",", ":")))


@contextlib.contextmanager
def clients_of(folder: Path, mesh: AsyncMesh, http: httpx2.AsyncClient) -> Iterator[Clients]:
    clients = Clients(folder, mesh, http)
    try:
        yield clients
    finally:
        clients.close()
