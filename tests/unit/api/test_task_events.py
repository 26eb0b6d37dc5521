"""One task as a stream: how it stands, how far it is, how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from ohmesh.api.config import ApiConfig
from ohmesh.api.event_stream import Streams, Told, stream_response
from tests.unit.api.door_in_memory import Run, ServedDoor, with_door, with_lone_door
from tests.waiting import eventually


def told(text: str) -> list[tuple[str, dict[str, object]]]:
    """The events of a whole stream; comments and `retry` are left out."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def submitted(door: ServedDoor, kind: str) -> str:
    answer = await door.http.post("/v1/submit", json={"kind": kind})
    task_id: str = answer.json()["task_id"]
    return task_id


def test_a_task_that_has_ended_is_told_with_its_end(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for kind, state in (("echo", "succeeded"), ("fail", "failed")):
            task_id = await submitted(door, kind)
            await door.http.get(f"/v1/result/{task_id}")
            answer = await door.http.get(f"/v1/tasks/{task_id}/events")
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.text.startswith("retry: ")
            assert [(name, data["state"]) for name, data in told(answer.text)] == [
                ("task", state),
                ("end", state),
            ]

    with_door(run, scenario)


def test_a_running_task_is_followed_until_its_end(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await submitted(door, "never")
        stream = asyncio.ensure_future(door.http.get(f"/v1/tasks/{task_id}/events"))
        await eventually(lambda: door.door.streams.open, what="it is followed")
        refused = await door.http.get(f"/v1/tasks/{task_id}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "backpressure")
        await door.http.post("/v1/tasks/cancel", json={"task_ids": [task_id]})
        text = (await stream).text
        assert [name for name, _ in told(text)] == ["task", "end"]
        assert told(text)[-1][1]["state"] == "cancelled"
        assert door.door.streams.open == 0

    with_door(run, scenario, ApiConfig(event_streams=1))


def test_simultaneous_requests_open_no_more_streams_than_there_may_be(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await submitted(door, "never")
        asked = [asyncio.ensure_future(door.http.get(f"/v1/tasks/{task_id}/events")) for _ in range(8)]
        await eventually(lambda: sum(one.done() for one in asked) == 6, what="six are refused")
        assert door.door.streams.open == 2
        await door.http.post("/v1/tasks/cancel", json={"task_ids": [task_id]})
        codes = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert (codes.count(200), codes.count(429)) == (2, 6)
        assert door.door.streams.open == 0

    with_door(run, scenario, ApiConfig(event_streams=2))


def test_a_stream_whose_reader_is_gone_before_it_begins_gives_its_place_back(run: Run) -> None:
    async def gone(_message: object) -> None:
        raise OSError("the reader is gone")

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def story() -> AsyncGenerator[Told, None]:
        yield Told("never", {})

    async def scenario() -> None:
        streams = Streams()
        response = stream_response(streams, ApiConfig(), story(), base="")
        assert streams.open == 1
        with pytest.raises(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, gone)
        assert streams.open == 0

    run(scenario())


def test_a_quiet_stream_gives_signs_of_life_and_lets_its_story_go(run: Run) -> None:
    async def scenario() -> None:
        happens, ended = asyncio.Event(), []

        async def story() -> AsyncGenerator[Told, None]:
            try:
                await happens.wait()
                yield Told("first", {"a": 1})
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        streams, config = Streams(), ApiConfig(event_heartbeat_ms=1)
        response = stream_response(streams, config, story(), base="")
        assert isinstance(response, StreamingResponse)
        lines = response.body_iterator
        assert isinstance(lines, AsyncGenerator)
        assert [await anext(lines) for _ in range(3)] == [b"retry: 1000\n\n", b": alive\n\n", b": alive\n\n"]
        happens.set()
        while (line := await anext(lines)) == b": alive\n\n":
            pass
        assert line == b'event: first\ndata: {"a":1}\n\n'
        await lines.aclose()
        assert ended == [True]

    run(scenario())


def test_a_door_that_closes_ends_its_streams(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await submitted(door, "never")
        stream = asyncio.ensure_future(door.http.get(f"/v1/tasks/{task_id}/events"))
        await eventually(lambda: door.door.streams.open, what="it is followed")
        door.door.streams.closing.set()
        assert "event: end" not in (await stream).text
        assert door.door.streams.open == 0

    with_door(run, scenario)


def test_what_cannot_be_followed_is_refused_before_anything_is_streamed(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for path, status, code in (
            ("/v1/tasks/no-such-task/events", 404, "unknown_task"),
            ("/v1/tasks/x/events?after=1", 400, "invalid_argument"),
        ):
            answer = await door.http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (status, code)

    with_door(run, scenario)


def test_while_the_mesh_is_away_nothing_is_streamed(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.get("/v1/tasks/x/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "mesh_unreachable")

    with_lone_door(run, scenario)


def test_what_a_task_yields_is_told_item_by_item_and_a_reader_goes_on_behind_what_it_has(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await submitted(door, "echo")
        stream = f"/v1/tasks/{task_id}/stream"
        answer = await door.http.get(stream)
        assert "id: 1.0\nevent: item\n" in answer.text
        *items, end = told(answer.text)  # its value is a list of two: it does not stream
        assert [(name, data["attempt"], data["number"]) for name, data in items] == [
            ("item", 1, 0),
            ("item", 1, 1),
        ]
        assert (end[0], end[1]["state"]) == ("end", "succeeded")
        again = await door.http.get(stream, headers={"Last-Event-ID": "1.0"})
        assert [(name, data.get("number")) for name, data in told(again.text)] == [("item", 1), ("end", None)]
        refused = await door.http.get(stream, headers={"Last-Event-ID": "x"})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_argument")
        page = (await door.http.get(f"/v1/tasks/stream/{task_id}")).json()
        assert (len(page["items"]), page["is_complete"]) == (2, True)

    with_door(run, scenario)


def test_a_stream_of_a_task_that_failed_ends_with_its_error(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = await submitted(door, "fail")
        ((name, problem),) = told((await door.http.get(f"/v1/tasks/{task_id}/stream")).text)
        assert (name, problem["code"]) == ("error", "task_failed")
        unknown = await door.http.get(f"/v1/tasks/{'0' * 26}/stream")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_task")

    with_door(run, scenario)
