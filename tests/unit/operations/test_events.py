"""Events through every door there is, on real roles over the memory engine: nothing twice, nothing left out."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Coroutine

import msgspec
import pytest

from ohmesh.cli import event_lines
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.errors import InvalidArgument, InvalidSelector
from ohmesh.mesh import AsyncMesh, Mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.event import Event
from ohmesh.model.subject import Subjects
from ohmesh.operations import arguments as a
from ohmesh.operations.events import EventPage, read_events, stream_events
from ohmesh.ports.log import Log
from tests.unit.mesh_in_memory import HOST, mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


async def page(mesh: AsyncMesh, after: str = "start", **fields: object) -> EventPage:
    return await read_events(mesh.client, a.ReadEvents(after=after, **fields))  # type: ignore[arg-type]


async def until(mesh: AsyncMesh, what: str, **options: str) -> list[Event]:
    """Follow until one is of this type."""
    seen: list[Event] = []
    async for event in mesh.events(**options):
        seen.append(event)
        if event.what == what:
            break
    return seen


def test_a_task_is_told_from_its_submission_to_its_end(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        done = await mesh.submit("echo", 1)
        await done.result(30)
        story = await until(mesh, "task.succeeded", after="start", filter=f"subject={done.id}")
        assert [one.what for one in story] == ["task.submitted", "task.started", "task.succeeded"]
        assert {(one.subject, one.kind) for one in story} == {(done.id, "echo")}
        assert story[1].data == {"agent": f"{HOST}/echo", "attempt": 1}
        assert story[0].type == "io.ohmesh.task.submitted.v1"
        failed = await mesh.submit("fail")
        await failed.end(30)
        last = (await until(mesh, "task.failed", after="start", filter=f"subject={failed.id}"))[-1]
        assert last.data["attempt"] == 1

    with_mesh(run, scenario)


def test_reading_goes_on_behind_every_cursor(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        handles = [mesh.submit_nowait(kind, number) for number in range(10) for kind in ("echo", "fail")]
        for handle in handles:
            await handle.end(30)
        whole = (await page(mesh, limit=1000)).events
        ids = [one.id for one in whole]
        assert len(set(ids)) == len(ids) >= 60
        assert {one.shard for one in whole} == {0, 1}
        for cut in range(0, len(whole), 7):
            rest = await page(mesh, whole[cut].cursor, limit=1000)
            assert sorted(one.id for one in rest) == sorted(ids[cut + 1 :])
        small: list[str] = []
        after = "start"
        while events := (paged := await page(mesh, after, limit=4)).events:
            small += [one.id for one in events]
            after = paged.after
        assert sorted(small) == sorted(ids)
        newest = await page(mesh, "", limit=3)
        assert [one.id for one in newest] == ids[-3:]

    with_mesh(run, scenario)


def test_a_stream_from_now_on_tells_what_comes_and_not_what_was(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        await (await mesh.submit("echo", "before")).result(30)
        stream = mesh.client.event_stream()
        await stream.begin("")
        await mesh.pause("other")
        await mesh.resume("other")
        seen: list[str] = []
        async for event in stream.follow():
            seen.append(event.what)
            if event.what == "kind.resumed":
                break
        assert seen == ["kind.paused", "kind.resumed"]

    with_mesh(run, scenario)


def test_a_cursor_before_the_logs_beginning_meets_a_gap_that_says_so(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        for number in range(5):
            await (await mesh.submit("echo", number)).result(30)
        first = (await page(mesh, limit=1)).events[0]
        log: Log | None = mesh.client._ports.log
        assert log is not None
        for shard in range(2):
            name = Subjects("memory").log(shard)
            await log.trim(name, before=(await log.bounds(name)).last)
        rest = await page(mesh, first.cursor, limit=1000)
        gaps = [one for one in rest if one.what == "shard.gap"]
        assert gaps
        assert "trimmed" in str(gaps[0].data["reason"])
        again = await page(mesh, gaps[-1].cursor, limit=1000)
        assert not [one for one in again if one.what == "shard.gap"]
        assert not [one for one in await page(mesh, limit=1000) if one.what == "shard.gap"]
        ahead = await page(mesh, "0-9999,1-9999", limit=1000)
        assert [one.what for one in ahead] == ["shard.gap", "shard.gap"]

    with_mesh(run, scenario)


def test_what_cannot_be_read_is_refused(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        with pytest.raises(InvalidArgument, match="is not a cursor"):
            await page(mesh, "yesterday")
        with pytest.raises(InvalidSelector):
            await anext(aiter(stream_events(mesh.client, "start", "colour=red")))

    with_mesh(run, scenario)


def test_code_without_an_event_loop_reads_the_same() -> None:
    with Mesh(Opening(mesh_in_memory)) as mesh:
        handle = mesh.submit("echo", 1)
        handle.result(30)
        told = []
        for event in mesh.events(after="start", filter="type=task.*"):
            told.append(event.what)
            if event.what == "task.succeeded":
                break
        assert told == ["task.submitted", "task.started", "task.succeeded"]


def printed(follow: bool = False, as_json: bool = False, **fields: object) -> tuple[str, str, int]:
    out, talk = io.StringIO(), io.StringIO()
    arguments = a.ReadEvents(**fields)  # type: ignore[arg-type]
    given = {"follow": follow, "limit": fields.get("limit")}
    code = event_lines.run(
        Opening(mesh_in_memory), arguments, given, Output(as_json=as_json, out=out, talk=talk)
    )
    return out.getvalue(), talk.getvalue(), code


def test_a_command_prints_an_event_to_a_line() -> None:
    text, said, code = printed(after="start", filter="type=worker.joined or type=shard.epoch_started")
    assert code == ExitCode.OK
    assert "shard.epoch_started shard-0 epoch=1 owner=node-1" in text
    assert "further: --after 0-" in said
    line, _, code = printed(follow=True, as_json=True, after="start", limit=1)
    assert code == ExitCode.OK
    assert msgspec.json.decode(line)["type"].startswith("io.ohmesh.")
    assert printed(filter="type=task.dead")[2] == ExitCode.NOTHING_MATCHED
