"""What happens in the mesh as a stream: in order, behind a cursor, until the reader goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message

from tests.unit.api.door_in_memory import TOKEN, Run, ServedDoor, with_door
from tests.waiting import eventually


class Reader:
    """One reader of the stream; `events` are its (id, event, data) so far."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self.text = ""
        self.status = 0
        self._has_asked = False

    @property
    def events(self) -> list[tuple[str, str, Any]]:
        found = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                found.append((fields["id"], fields["event"], json.loads(fields["data"])))
        return found

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.events]

    async def receive(self) -> Message:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()


@asynccontextmanager
async def reading(door: ServedDoor, query: str, *headers: tuple[bytes, bytes]) -> AsyncIterator[Reader]:
    """A reader that goes away at the end; the stream ends with it."""
    reader = Reader()
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/v1/events", "raw_path": b"/v1/events",
        "query_string": query.encode(), "server": ("127.0.0.1", 7400), "client": ("127.0.0.1", 1),
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:7400"), (b"accept", b"text/event-stream"),
            (b"authorization", f"Bearer {TOKEN}".encode()), *headers,
        ],
    }  # fmt: skip
    serving = asyncio.ensure_future(door.app(scope, reader.receive, reader.send))
    try:
        await eventually(lambda: "retry: " in reader.text, what=f"the stream begins: {reader.text}")
        yield reader
    finally:
        reader.leaves.set()
        await serving
    assert door.door.streams.open == 0


async def done(door: ServedDoor) -> str:
    answer = await door.http.post("/v1/submit", json={"kind": "echo", "wait_s": 50})
    task_id: str = answer.json()["task_id"]
    return task_id


def test_what_happens_is_told_as_it_happens(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        before = await done(door)
        async with reading(door, "filter=type%3Dtask.*") as reader:
            task_id = await done(door)
            await eventually(lambda: "task.succeeded" in reader.names, what="its end is told")
            assert reader.names[0] == "task.submitted"
            assert {data["subject"] for _, _, data in reader.events} == {task_id} != {before}
            assert all(data["cursor"] == cursor for cursor, _, data in reader.events)

    with_door(run, scenario)


def test_a_reader_that_comes_back_misses_nothing_and_hears_nothing_twice(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        ids = [await done(door)]
        async with reading(door, "after=start&filter=type%3Dtask.succeeded") as reader:
            await eventually(lambda: len(reader.events) == 1, what="it is told")
            cursor = reader.events[0][0]
        ids += [await done(door), await done(door)]
        again = (b"last-event-id", cursor.encode())
        async with reading(door, "after=start&filter=type%3Dtask.succeeded", again) as reader:
            await eventually(lambda: len(reader.events) >= 2, what="the others are told")
            assert [data["subject"] for _, _, data in reader.events] == ids[1:]

    with_door(run, scenario)


def test_who_does_not_ask_for_a_stream_has_a_page(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await done(door)
        page = (await door.http.get("/v1/events", params={"filter": "type=task.succeeded"})).json()
        assert [event["subject"] for event in page["events"]] == [task_id]

    with_door(run, scenario)


def test_what_cannot_be_streamed_is_refused_before_it_begins(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Accept": "text/event-stream"}
        for query, code in (
            ("after=nonsense", "invalid_argument"),
            ("filter=~", "invalid_selector"),
            ("limit=3", "invalid_argument"),
        ):
            answer = await door.http.get(f"/v1/events?{query}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, code), query

    with_door(run, scenario)
