"""The verbs about schedules, on real roles over the memory engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh.assembly.mesh_checks import schedule_findings
from ohmesh.errors import InvalidArgument, UnknownSchedule
from ohmesh.mesh import AsyncMesh
from ohmesh.model.schedule import Schedule, SchedulePage, ScheduleView
from ohmesh.operations.commands import find_command
from ohmesh.operations.schedule_arguments import AddSchedule
from tests.unit.mesh_in_memory import mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


def on_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with mesh_in_memory() as client:
            await scenario(AsyncMesh(client))

    run(main())


def test_a_schedule_makes_tasks_with_its_arguments(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        added = await mesh.add_schedule("often", "echo", 1, "two", every=1, priority="HIGH", three=3)
        assert (added.every_ms, added.priority, added.arguments, added.named) == (
            1_000,
            "HIGH",
            [1, "two"],
            {"three": 3},
        )
        receipt = await mesh.run_schedule("often")
        assert await mesh.result(receipt.task_id, timeout=10) == [[1, "two"], {"three": 3}]
        async for event in mesh.events(after="start", filter="type=task.submitted"):
            if event.data.get("schedule") == "often" and event.subject != receipt.task_id:
                assert await mesh.result(event.subject, timeout=10) == [[1, "two"], {"three": 3}]
                return

    on_mesh(run, scenario)


def test_schedules_of_all_shards_are_listed_by_name_a_page_at_a_time(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        for number, kind in enumerate(("echo", "fail", "never", "steps", "a", "b")):
            await mesh.add_schedule(f"s{number}", kind, cron="@yearly")
        names, after = [], ""
        while True:
            page = await mesh.schedules(limit=2, after=after)
            names += [one.name for one in page]
            after = page.after
            if not after:
                break
        assert names == ["s0", "s1", "s2", "s3", "s4", "s5"]
        assert [one.name for one in await mesh.schedules(kind="never")] == ["s2"]
        assert str(page).startswith("2 of 6 schedules")

    on_mesh(run, scenario)


def test_a_list_does_not_say_that_a_schedule_has_no_arguments(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        await mesh.add_schedule("with", "echo", "word", cron="@daily")
        await mesh.add_schedule("without", "echo", cron="@daily")
        assert [(one.arguments, one.named) for one in await mesh.schedules()] == [(None, None)] * 2
        assert (await mesh.schedule("with")).arguments == ["word"]
        assert (await mesh.schedule("without")).arguments == []

    on_mesh(run, scenario)


def test_a_name_belongs_to_one_schedule_of_the_mesh(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        shards_of = mesh.client.requests.shards_of
        other = next(kind for kind in "abcdef" if shards_of(kind) != shards_of("echo"))
        await mesh.add_schedule("mine", "echo", cron="@daily")
        with pytest.raises(InvalidArgument, match="one of kind 'echo'"):
            await mesh.add_schedule("mine", other, cron="@daily")
        with pytest.raises(InvalidArgument, match="--replace"):
            await mesh.add_schedule("mine", "echo", cron="@hourly")
        assert (await mesh.add_schedule("mine", "echo", cron="@hourly", replace=True)).cron == "@hourly"

    on_mesh(run, scenario)


def test_pausing_resuming_and_removing(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        await mesh.add_schedule("mine", "echo", cron="@daily")
        assert (await mesh.pause_schedule("mine")).is_paused
        assert (await mesh.schedule("mine")).next_due_ms == 0
        assert (await mesh.resume_schedule("mine")).next_due_ms > 0
        assert (await mesh.remove_schedule("mine")).name == "mine"
        for verb in (mesh.schedule, mesh.pause_schedule, mesh.remove_schedule, mesh.run_schedule):
            with pytest.raises(UnknownSchedule, match="no schedule 'mine'"):
                await verb("mine")

    on_mesh(run, scenario)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"cron": "61 * * * *"}, "cron: "),
        ({"cron": "* * * * *", "timezone": "Nowhere/At"}, "timezone: "),
        ({"every": "soon"}, "every: 'soon' is no duration"),
        ({"every": "1ms"}, "every: "),
        ({}, "cron: either"),
        ({"every": "1h", "catch_up": "some"}, "catch_up: 'some' is none of none, last, all"),
        ({"every": "1h", "overlap": "no"}, "overlap: "),
    ],
)
def test_what_is_wrong_is_refused_by_its_name_before_a_mesh_is_asked(
    values: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{named}"):
        find_command("schedules add").parse({"name": "s", "kind": "echo", **values})


def test_what_is_typed_is_what_is_kept() -> None:
    parsed = find_command("schedules add").parse(
        {"name": "s", "kind": "echo", "every": "5min", "catch_up": "ALL", "overlap": "skip", "retries": "0"}
    )
    assert isinstance(parsed, AddSchedule)
    kept = parsed.schedule(b"", 1)
    assert (kept.every_ms, kept.catch_up, kept.overlap, kept.max_attempts) == (300_000, "all", "skip", 1)


def test_doctor_names_what_is_next_what_is_late_and_what_failed() -> None:
    def view(name: str, next_due_ms: int, last_state: str = "") -> ScheduleView:
        return ScheduleView(Schedule(name, "kind", b""), 1, 1, next_due_ms, last_state=last_state)

    now_ms = 1_000_000
    page = SchedulePage(
        [view("next", now_ms + 5_000), view("late", now_ms - 90_000), view("sick", 0, "dead")], total=3
    )
    told = [finding.text for finding in schedule_findings(page, now_ms)]
    assert told == [
        "3, of which 1 paused; late is due next, in 0 s",
        "late has been due for 90 s",
        "the last task of sick ended dead",
    ]
    assert schedule_findings(SchedulePage([]), now_ms) == []
