"""Tests of the agents without a server: in real time for what they do, in virtual time for what happens to them."""

from __future__ import annotations

import asyncio

import pytest
from agents import ask, calls, greet

from ohmesh import AsyncMesh, TaskFailed, testing
from ohmesh.testing.pytest_plugin import OpenMesh


def test_a_greeting_can_be_loud(ohmesh_mesh: OpenMesh) -> None:
    mesh = ohmesh_mesh([greet])
    assert mesh.call("greet", "Ada") == "Hello, Ada."
    assert mesh.call(greet, "Ada", loudly=True) == "HELLO, ADA!"


def test_an_empty_name_is_not_tried_again(ohmesh_mesh: OpenMesh) -> None:
    mesh = ohmesh_mesh([greet], workers=2)
    handle = mesh.submit("greet", "")
    with pytest.raises(TaskFailed, match="nobody to greet"):
        handle.result()
    assert mesh.get(handle.id).attempts == 1


def test_a_program_of_ones_own_with_an_event_loop() -> None:
    async def program() -> list[object]:
        async with testing.mesh([greet]) as mesh:
            return list(await asyncio.gather(*(mesh.call("greet", name) for name in ("Ada", "Grace"))))

    assert asyncio.run(program()) == ["Hello, Ada.", "Hello, Grace."]


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_comes_though_its_worker_is_killed_and_the_service_is_down(seed: int) -> None:
    async def scenario(mesh: AsyncMesh, control: testing.Control) -> float:
        calls.clear()
        handle = await mesh.submit("ask", "everything", delay=600)
        await control.until(lambda: len(calls) == 1, within_s=1200)
        await control.until(lambda: len(calls) == 2)  # it failed, and is tried again
        control.kill_worker()
        control.switch(testing.Faults(delivery_ms=(1, 500), lost_messages=0.1, lost_acknowledgements=0.1))
        await control.sleep(60)
        control.restart_worker()
        assert await handle.result() == "The answer to 'everything' is 42."
        return control.now()

    report = testing.run(scenario, agents=[ask], seed=seed)
    assert report.result > 600
    assert len(calls) >= 3
