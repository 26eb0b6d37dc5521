"""Filters through every door there is, on real roles over the memory engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh.errors import InvalidSelector
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.message import ListTasks
from ohmesh.operations.command import Command, Scope
from ohmesh.operations.commands import COMMANDS, find_command
from tests.unit.mesh_in_memory import HOST, mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


async def ids(mesh: AsyncMesh, filter: str, **options: object) -> set[str]:  # noqa: A002 - as the door names it
    listed = await mesh.tasks(filter=filter, **options)  # type: ignore[arg-type]
    return {task.task_id for task in listed}


def test_tasks_of_all_shards_are_chosen_by_a_filter(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        done = await mesh.submit("echo", 1, priority="high")
        failed = await mesh.submit("fail")
        await done.result(10)
        await failed.end(10)
        endless = await mesh.submit("never", priority="low")
        assert await ids(mesh, "state=succeeded") == {done.id}
        assert await ids(mesh, "not state=succeeded") == {failed.id, endless.id}
        assert await ids(mesh, "priority>=normal and attempts=1") == {done.id, failed.id}
        assert await ids(mesh, f"id in ({done.id}, {endless.id})") == {done.id, endless.id}
        assert await ids(mesh, "kind=*e*") == {done.id, endless.id}
        assert await ids(mesh, f"host={HOST} and agent=*/echo") == {done.id}
        assert await ids(mesh, "age<1h and submitted>2020-01-01") == {done.id, failed.id, endless.id}
        assert await ids(mesh, "age>1h or submitted<2020-01-01") == set()
        assert await ids(mesh, "took>=0 or failure") == {done.id, failed.id}

    with_mesh(run, scenario)


def test_kind_and_state_and_filter_hold_together_and_the_answer_says_so(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        for _ in range(5):
            await (await mesh.submit("echo")).result(10)
        listed = await mesh.tasks(
            kind="echo", state="Succeeded", limit=2, filter="age<1h and not priority=low"
        )
        assert listed.filter == "kind=echo and state=succeeded and age<1h and not priority=low"
        assert (len(listed), listed.total) == (2, 5)
        assert (
            await mesh.tasks(kind="echo", filter="age<1h or took")
        ).filter == "kind=echo and (age<1h or took)"
        assert (await mesh.tasks(filter="age<3600s")).filter == "age<1h"
        assert (await mesh.tasks()).filter == ""

    with_mesh(run, scenario)


def test_pages_of_a_filtered_list_follow_each_other(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        wanted = {(await mesh.submit("never", priority="low")).id for _ in range(5)}
        for kind in ("echo", "fail") * 3:
            await mesh.submit(kind)
        seen: list[str] = []
        after, first = "", True
        while first or after:
            listed = await mesh.tasks(filter="priority=low", limit=2, after=after)
            seen += [task.task_id for task in listed]
            after, first = listed.after, False
        assert len(seen) == 5
        assert set(seen) == wanted

    with_mesh(run, scenario)


def test_workers_are_chosen_by_their_load_over_all_shards(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        for text in ("state=active and kind=echo", f"name={HOST}", "load<1% and seen<1min", "slots>=3"):
            listed = await mesh.workers(filter=text)
            assert [worker.host for worker in listed] == [HOST], text
            assert listed.filter == text.replace("1%", "0.01")
        nobody = await mesh.workers(filter="kind!=echo")
        assert (len(nobody), nobody.total) == (0, 1)

    with_mesh(run, scenario)


@pytest.mark.parametrize("name", ["tasks list", "workers"])
def test_a_filter_that_cannot_be_read_is_refused_before_a_mesh_is_asked(name: str) -> None:
    with pytest.raises(InvalidSelector, match="Did you mean state") as caught:
        find_command(name).parse({"filter": "kind=echo and stat=active"})
    assert caught.value.position == 14


def test_a_dispatcher_refuses_it_too(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        with pytest.raises(InvalidSelector, match="Did you mean state"):
            await mesh.client.requests.list_tasks(ListTasks(filter="stat=dead"))

    with_mesh(run, scenario)


@pytest.mark.parametrize("name", ["tasks list", "workers"])
def test_the_help_of_a_filter_names_its_fields(name: str) -> None:
    (parameter,) = [one for one in find_command(name).parameters() if one.name == "filter"]
    assert "state" in parameter.help
    assert parameter.option == "--filter"


OF_THE_FLEET = [
    (verb, parameter.name)
    for verb in COMMANDS
    if verb.scope is Scope.FLEET
    for parameter in verb.parameters()
    if parameter.name in {"filter", "scope"}
]
GIVEN = {"what": "ping", "put": {"goal": "ship"}, "peer": "s000.c00.a00", "source": "canary"}


@pytest.mark.parametrize(("verb", "name"), OF_THE_FLEET, ids=lambda one: getattr(one, "name", one))
def test_every_verb_of_the_fleet_reads_one_language_and_shows_where_it_cannot(
    verb: Command, name: str
) -> None:
    needed = {one.name: GIVEN.get(one.name, "x") for one in verb.parameters() if one.required}
    needed |= {"put": GIVEN["put"]} if any(one.name == "put" for one in verb.parameters()) else {}
    good = "class=gpu and sector in (3,7) and impedance>400ms and not state=quarantined"
    assert getattr(verb.parse({**needed, name: good}), name) == good
    for bad, place, hint in (
        ("class=gpu and sektor=7", 14, "sector"),
        ("impedance>400", 10, "400ms"),
        ("class=gpu and", 13, ""),
    ):
        with pytest.raises(InvalidSelector) as caught:
            verb.parse({**needed, name: bad})
        shown = str(caught.value)
        assert hint in shown, shown
        excerpt = shown.splitlines()
        at = next(number for number, line in enumerate(excerpt) if line.strip() == bad)
        assert excerpt[at + 1].index("^") - excerpt[at].index(bad) == place, shown
