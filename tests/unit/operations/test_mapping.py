"""Many items, an outcome for each in their order; one that fails hides no other."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

import pytest

from ohmesh.cli import map_lines
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.errors import InvalidArgument, TaskFailed, UsageError
from ohmesh.mesh import AsyncMesh, Mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.task import TaskState
from ohmesh.operations import arguments as a
from ohmesh.operations import mapping
from ohmesh.operations.commands import find_command
from ohmesh.operations.mapping import MappedTasks
from ohmesh.operations.results import TaskOutcome
from tests.unit.mesh_in_memory import mesh_in_memory

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def echoed(item: object) -> object:
    return [[item], {}]


def test_values_come_in_the_order_of_the_items(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        mapped = await mesh.map("echo", range(50))
        assert mapped.values == [echoed(number) for number in range(50)]
        assert (mapped.succeeded, mapped.failed, mapped.unfinished, len(mapped)) == (50, 0, 0, 50)
        assert [one.value async for one in mesh.map("echo", ["a", "b"])] == [echoed("a"), echoed("b")]
        ends = {place: one.value async for place, one in mesh.map("echo", "xyz").as_completed()}
        assert ends == {0: echoed("x"), 1: echoed("y"), 2: echoed("z")}

    with_mesh(run, scenario)


def test_an_item_that_is_refused_or_fails_hides_no_other(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        mapped = await mesh.map("echo", [1, object(), 3])
        assert [one.state for one in mapped] == ["succeeded", "submitted", "succeeded"]
        assert (mapped.succeeded, mapped.failed) == (2, 1)
        assert mapped.outcomes[1].failure is not None
        with pytest.raises(TaskFailed, match="1 of 3 items have no value"):
            assert mapped.values
        failed = await mesh.map("fail", [1, 2])
        assert (failed.succeeded, failed.failed) == (0, 2)
        late = await mesh.map("never", [1, 2], wait=0.05)
        assert (late.unfinished, all(one.task_id for one in late)) == (2, True)
        receipts = await mesh.map("never", [1], wait=0)
        assert [one.state for one in receipts] == [TaskState.QUEUED]

    with_mesh(run, scenario)


def test_however_often_a_map_is_read_its_items_are_submitted_once(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        mapped = mesh.map("echo", range(40))
        assert (await mesh.tasks()).tasks == [], "nothing is submitted before it is read"
        async for first in mapped:
            assert first.value == echoed(0)
            break
        in_order = [one async for one in mapped]
        assert in_order[0] == first
        assert [one.value for one in in_order] == [echoed(number) for number in range(40)]
        ends = {place: one async for place, one in mapped.as_completed()}
        assert [ends[place] for place in range(40)] == in_order
        assert (await mapped).outcomes == (await mapped.result()).outcomes == in_order

    with_mesh(run, scenario)


def test_two_may_read_one_map_at_a_time(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        mapped = mesh.map("echo", range(300))
        one, other = await asyncio.gather(mapped.result(), mapped.result())
        assert one.outcomes == other.outcomes
        assert one.values == [echoed(number) for number in range(300)]

    with_mesh(run, scenario)


def test_what_comes_of_an_iterator_is_let_go_as_it_is_read_unless_all_is_wanted(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        passing = mesh.map("echo", iter("abc"))
        assert [one.value async for one in passing] == [echoed(one) for one in "abc"]
        with pytest.raises(UsageError, match="came from an iterator"):
            await passing
        whole = mesh.map("echo", iter("abc"))
        assert (await whole).outcomes == (await whole).outcomes == [one async for one in whole]

    with_mesh(run, scenario)


def test_a_source_that_fails_is_told_at_each_reading(run: Run) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    class Two:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[int]:
            return items()

    async def scenario(mesh: AsyncMesh) -> None:
        mapped = mesh.map("echo", Two())
        with pytest.raises(ZeroDivisionError):
            await mapped
        with pytest.raises(UsageError, match="ended early: ZeroDivisionError"):
            await mapped

    with_mesh(run, scenario)


def test_no_more_items_are_drawn_than_may_be_on_their_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "IN_FLIGHT", 3)
    drawn: list[int] = []

    async def endless() -> AsyncIterator[int]:
        while True:
            drawn.append(len(drawn))
            yield drawn[-1]

    async def scenario(mesh: AsyncMesh) -> None:
        taken = 0
        async for outcome in mesh.map("echo", endless()):
            assert outcome.value == echoed(taken)
            taken += 1
            assert len(drawn) <= taken + 3
            if taken == 20:
                break
        assert taken == 20

    with_mesh(run, scenario)


def test_the_verb_gathers_what_the_methods_gather(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        verb = find_command("map")
        mapped = await verb.call(mesh.client, verb.parse({"kind": "echo", "items": [1, "two"]}))
        assert isinstance(mapped, MappedTasks)
        assert mapped.values == [echoed(1), echoed("two")]
        assert str(mapped) == "2 succeeded, 0 failed, 0 unfinished"

    with_mesh(run, scenario)


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with Mesh(Opening(mesh_in_memory)) as opened:
        yield opened


def test_code_without_an_event_loop_maps_as_well(mesh: Mesh) -> None:
    assert mesh.map("echo", range(20)).result().values == [echoed(number) for number in range(20)]
    assert [one.value for one in mesh.map("echo", iter("ab"))] == [echoed("a"), echoed("b")]
    assert sorted(place for place, _ in mesh.map("echo", "abc").as_completed()) == [0, 1, 2]
    assert next(iter(mesh.map("echo", iter(int, 1), wait=30))).value == echoed(0)


def test_without_an_event_loop_too_a_map_submits_once(mesh: Mesh) -> None:
    mapped = mesh.map("echo", range(40))
    first = next(iter(mapped))
    in_order = list(mapped)
    assert in_order[0] == first
    ends = dict(mapped.as_completed())
    assert [ends[place] for place in range(40)] == in_order == mapped.result().outcomes
    passing = mesh.map("echo", iter("ab"))
    assert [one.value for one in passing] == [echoed("a"), echoed("b")]
    with pytest.raises(UsageError, match="came from an iterator"):
        passing.result()


def test_a_mesh_without_a_loop_refuses_what_only_a_loop_can_read(mesh: Mesh) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(InvalidArgument):
        mesh.map("echo", items())


def lines(kind: str, text: str, **options: object) -> tuple[str, str, int]:
    out, talk = io.StringIO(), io.StringIO()
    arguments = find_command("map").parse({"kind": kind, **options})
    assert isinstance(arguments, a.MapTasks)
    output = Output(out=out, talk=talk)
    code = map_lines.run(Opening(mesh_in_memory), arguments, {"input_file": io.StringIO(text)}, output)
    return out.getvalue(), talk.getvalue(), code


def test_lines_of_input_become_lines_of_output() -> None:
    printed, _, code = lines("echo", 'plain\n3\n{"a": 1}\n')
    assert printed == '[["plain"],{}]\n[[3],{}]\n[[{"a":1}],{}]\n'
    assert code == ExitCode.OK


def test_a_failed_item_leaves_its_line_empty_and_the_exit_code_says_so() -> None:
    printed, said, code = lines("fail", "1\n2\n")
    assert (printed, code) == ("\n\n", ExitCode.FAILED)
    assert "Item 1:" in said
    assert "0 succeeded, 2 failed" in said
    receipts, _, code = lines("never", "1\n", wait_s=0)
    assert (len(receipts.strip()), code) == (26, ExitCode.OK)
    some = mapping.counted([*_outcomes(TaskState.SUCCEEDED, TaskState.DEAD)])
    assert map_lines.judge(some) is ExitCode.PARTIAL


def test_an_item_that_has_not_ended_in_time_has_no_line_that_looks_like_a_value() -> None:
    printed, said, code = lines("never", "1\n", wait_s=0.05)
    assert (printed, code) == ("\n", ExitCode.PARTIAL)
    first, last = said.splitlines()
    assert "Item 1: " in first
    assert "has not ended within 0.05 s" in first
    assert last.startswith("0 succeeded, 0 failed, 1 unfinished; later: ohmesh tasks wait ")
    assert last.rpartition(" ")[2] in first


def _outcomes(*states: TaskState) -> Iterator[TaskOutcome]:
    for state in states:
        yield TaskOutcome("T", state)
