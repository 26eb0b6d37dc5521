"""Agents one by one, each with its own share of its worker's load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.cli.presentation import present
from ohmesh.errors import InvalidSelector
from ohmesh.mesh import AsyncMesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.agent import Duty, Liveness
from ohmesh.operations.agents import AgentList
from tests.unit.mesh_in_memory import AGENTS, HOST, mesh_in_memory
from tests.waiting import answered

Run = Callable[[Coroutine[object, object, None]], None]


def with_mesh(run: Run, scenario: Callable[[AsyncMesh], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Opening(mesh_in_memory) as mesh:
            await scenario(mesh)

    run(main())


def test_each_agent_of_all_shards_is_listed_once_with_its_own_load(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        for _ in range(3):
            await mesh.submit("never")

        async def loads() -> dict[str, int]:
            return {one.agent: one.running for one in await mesh.agents()}

        async def are_held() -> bool:
            idle = {f"{HOST}/{one.agent}": 0 for one in AGENTS}
            return await loads() == {**idle, f"{HOST}/never": 3}

        await answered(are_held, what="the host holds all three tasks", timeout_s=30)
        never = (await mesh.agents(filter="kind=never")).agents[0]
        assert (never.worker, never.name, never.kind) == (HOST, "never", "never")
        assert (never.slots, never.free) == (8, 5)
        assert (never.liveness, never.duty) == (Liveness.ACTIVE, Duty.READY)

    with_mesh(run, scenario)


def test_a_filter_chooses_and_says_so(run: Run) -> None:
    async def scenario(mesh: AsyncMesh) -> None:
        chosen = await mesh.agents(filter=f"worker={HOST} and name in (echo, fail)")
        assert [one.name for one in chosen] == ["echo", "fail"]
        assert (len(chosen), chosen.total) == (2, len(AGENTS))
        assert chosen.filter == f"worker={HOST} and name in (echo, fail)"
        assert str(chosen).splitlines()[0].startswith(f"{HOST}/echo echo active 0/")
        with pytest.raises(InvalidSelector, match="The fields of agents"):
            await mesh.agents(filter="host=x")

    with_mesh(run, scenario)


def test_where_no_agent_matches_a_command_says_so_by_its_exit_code() -> None:
    assert present(AgentList([], 3, "kind=x"), Output(quiet=True)) is ExitCode.NOTHING_MATCHED
    assert present(AgentList([]), Output(quiet=True)) is ExitCode.OK
