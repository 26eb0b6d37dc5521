"""The verb `queues limit`, on real roles over the memory engine, and what people read of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import msgspec
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.limit import KindLimit
from ohmesh.operations.commands import find_command
from ohmesh.operations.rates import limit_of, limit_text, parse_rate, rate_text
from tests.unit.mesh_in_memory import mesh_in_memory
from tests.waiting import answered

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def test_a_limit_is_set_seen_and_taken_away(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        state = await mesh.limit("echo", rate="1/h", concurrency=3)
        assert (state.rate, state.burst, state.concurrency, state.held_back) == ("1/h", 1, 3, "")
        assert state.limit == "1/h, 1 at once, 3 at a time"
        held = await mesh.submit("echo", 1)
        free = await mesh.submit("fail")
        await free.end(10)
        (queue,) = [queue for queue in await mesh.queues() if queue.kind == "echo"]
        assert (queue.queued, queue.held_back) == (1, "rate")
        told = await mesh.explain(held.id)
        assert told.held_back == "rate"
        assert told.reason.startswith(
            "kind 'echo' is limited to 1/h, 1 at once, 3 at a time: the next may start in"
        )
        assert (await mesh.limit("echo", none=True)).limit == ""
        assert await held.result(10) == [[1], {}]

    with_mesh(run, scenario)


def test_a_full_concurrency_is_told(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        await mesh.limit("never", concurrency=1)
        await mesh.submit("never")
        waiting = await mesh.submit("never")

        async def is_told() -> bool:
            return (await mesh.explain(waiting.id)).reason == (
                "kind 'never' is limited to 1 at a time: 1 of 1 run already."
            )

        await answered(is_told, what="the limit is the reason", timeout_s=30)

    with_mesh(run, scenario)


@pytest.mark.parametrize(
    "values",
    [{}, {"none": True, "concurrency": 1}, {"burst": 5}, {"burst": 5, "concurrency": 1}, {"concurrency": -1}],
)
def test_what_is_no_limit_is_refused_before_a_mesh_is_asked(values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        find_command("queues limit").parse({"kind": "echo", **values})


@pytest.mark.parametrize("text", ["100", "0/s", "1/w", "-1/s", "1.5/s", "99999999/s", "/s"])
def test_what_is_no_rate_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidArgument, match="6000/m"):
        parse_rate(text)


def test_rates_are_read_and_written() -> None:
    assert parse_rate("6000/min") == parse_rate("6000 / m") == (6_000, 60_000)
    assert limit_of("6000/m", 0, 0) == KindLimit(6_000, 60_000, 100, 0)
    assert limit_of("1/d", 0, 2) == KindLimit(1, 86_400_000, 1, 2)
    assert rate_text(KindLimit(6_000, 60_000, 5)) == "6000/m"
    assert limit_text(KindLimit(concurrency=2)) == "2 at a time"
    assert msgspec.json.decode(msgspec.json.encode(KindLimit(1, 2, 3, 4))) == [1, 2, 3, 4]
