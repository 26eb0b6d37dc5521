"""Locks as programs hold them: real roles and the engine in memory, in virtual time, with what may go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from ohmesh import AsyncMesh, Mesh, testing
from ohmesh.errors import InvalidArgument, LockLost, LockTimeout
from ohmesh.mesh.async_mesh import Opening
from ohmesh.operations.locks import ReleasedLock
from ohmesh.testing import Control, Faults, RunOptions
from tests.unit.mesh_in_memory import mesh_in_memory

Scenario = Callable[[AsyncMesh, Control], Coroutine[object, object, None]]


def played(scenario: Scenario, *, seed: int = 0, nodes: int = 1) -> None:
    testing.run(scenario, seed=seed, options=RunOptions(nodes=nodes))


def test_one_holds_the_others_wait_and_come_in_their_order() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        inside: list[int] = []
        came: list[tuple[int, int]] = []

        async def work(number: int) -> None:
            async with mesh.lock("lock", ttl=2) as lock:
                inside.append(number)
                assert inside == [number]
                came.append((number, lock.token))
                await control.sleep(5)  # longer than the ttl: it is renewed
                inside.remove(number)

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(work(number))
                await control.sleep(0.1)
        assert [number for number, _ in came] == list(range(5))
        tokens = [token for _, token in came]
        assert tokens == sorted(set(tokens))
        assert len(await mesh.locks()) == 0

    played(scenario)


def test_a_release_is_heard_at_once_and_not_at_the_next_question() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        async with mesh.lock("lock"):
            waiting = asyncio.ensure_future(mesh.client.locks.take("lock", ttl_ms=10_000))
            await control.sleep(30.4)
        released_s = control.now()
        held = await waiting
        assert control.now() - released_s < 0.2
        await held.release()

    played(scenario)


def test_who_does_not_get_it_in_time_is_told_who_holds_it() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        async with mesh.lock("lock") as lock:
            for wait_s in (0.0, 3.0):
                began_s = control.now()
                with pytest.raises(LockTimeout, match=str(lock.token)):
                    async with mesh.lock("lock", wait=wait_s):
                        pass
                assert control.now() - began_s < wait_s + 1
            (listed,) = await mesh.locks()
            assert (listed.name, listed.token, listed.waiting) == ("lock", lock.token, 0)
        async with mesh.lock("lock", wait=0):
            pass

    played(scenario)


@pytest.mark.parametrize("seed", range(12))
def test_a_holder_holds_on_while_dispatchers_die_and_messages_get_lost(seed: int) -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        tokens: list[int] = []
        inside: list[int] = []

        async def work(number: int) -> None:
            for _ in range(3):
                async with mesh.lock("lock", ttl=60) as lock:
                    inside.append(number)
                    assert inside == [number]
                    tokens.append(lock.token)
                    await control.sleep(4)
                    inside.remove(number)

        control.switch(Faults(delivery_ms=(1, 300), lost_messages=0.1, duplicated_messages=0.1))
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(work(number))
            for name in ("node-1", "node-2"):
                await control.sleep(10)
                control.kill_node(name)
                control.restart_node(name)
        control.heal()
        assert len(tokens) == 9
        assert tokens == sorted(set(tokens))

    played(scenario, seed=seed, nodes=2)


def test_who_is_cut_off_loses_it_by_its_own_clock_and_before_another_has_it() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        tokens: list[int] = []
        ends_s: list[float] = []

        async def hold() -> None:
            async with mesh.lock("lock", ttl=10) as lock:
                tokens.append(lock.token)
                control.partition("program")
                try:
                    await control.sleep(100)
                finally:
                    ends_s.append(control.now())
                    with pytest.raises(LockLost):
                        lock.check()
                    control.heal()

        began_s = control.now()
        with pytest.raises(LockLost, match="not renewed within its 10 s"):
            await hold()
        async with mesh.lock("lock") as another:
            assert another.token > tokens[0]
            assert ends_s[0] - began_s < 10 <= control.now() - began_s

    played(scenario)


def test_who_is_robbed_of_it_hears_so_at_its_next_renewal() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        async def hold() -> None:
            async with mesh.lock("lock", ttl=30) as lock:
                released = await mesh.release_lock("lock")
                assert (released.was_held, released.token) == (True, lock.token)
                await control.sleep(100)

        with pytest.raises(LockLost, match="taken away"):
            await hold()
        assert control.now() < 15
        assert await mesh.release_lock("lock") == ReleasedLock("lock", False)

    played(scenario)


def test_a_block_that_never_pauses_is_told_at_its_end() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        held = await mesh.client.locks.take("lock", ttl_ms=1_000)
        control.partition("program")
        await held.lost()
        control.heal()
        assert held.is_lost
        with pytest.raises(LockLost):
            assert held.token
        await held.release()

    played(scenario)


def test_an_error_of_the_block_is_the_error_and_the_lock_is_free() -> None:
    async def scenario(mesh: AsyncMesh, _control: Control) -> None:
        for error in (ValueError("mine"), TimeoutError("mine")):
            with pytest.raises(type(error), match="mine"):
                async with mesh.lock("lock"):
                    raise error
            assert len(await mesh.locks()) == 0

    played(scenario)


def test_who_is_cancelled_while_it_waits_leaves_the_line() -> None:
    async def scenario(mesh: AsyncMesh, control: Control) -> None:
        async with mesh.lock("lock"):
            waiting = asyncio.ensure_future(mesh.client.locks.take("lock", ttl_ms=10_000))
            await control.sleep(2)
            (listed,) = await mesh.locks()
            assert listed.waiting == 1
            waiting.cancel()
            await control.sleep(0.5)
            (listed,) = await mesh.locks()
            assert listed.waiting == 0

    played(scenario)


def test_what_is_no_ttl_is_refused() -> None:
    async def scenario(mesh: AsyncMesh, _control: Control) -> None:
        for ttl in (0.1, 100_000):
            with pytest.raises(InvalidArgument):
                async with mesh.lock("lock", ttl=ttl):
                    pass
        with pytest.raises(InvalidArgument, match="printable"):
            async with mesh.lock("two words"):
                pass

    played(scenario)


def test_the_same_without_an_event_loop() -> None:
    def be_robbed(mesh: Mesh, first: int) -> None:
        with mesh.lock("lock", ttl=5) as lock:
            assert lock.token > first
            mesh.release_lock("lock")
            while not lock.is_lost:
                mesh.locks()

    with Mesh(Opening(mesh_in_memory)) as mesh:
        with mesh.lock("lock", ttl=5) as lock:
            first = lock.token
            with pytest.raises(LockTimeout), mesh.lock("lock", wait=0):
                pass
            assert [one.name for one in mesh.locks()] == ["lock"]
        with pytest.raises(LockLost):
            be_robbed(mesh, first)
