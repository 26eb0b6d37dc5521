"""The loop with virtual time: order, jumps, gates, refusals and bounds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ohmesh.errors import SimulationError, SimulationEscape, SimulationStuck, SimulationTooLong
from ohmesh.simulator.loop import CURRENT_GATE, LoopLimits, SimulatedLoop
from ohmesh.simulator.run import run_virtual
from tests.unit.simulator.passing_time import in_virtual_time, pass_time


def loop_of_this_run() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


def test_an_hour_passes_without_waiting() -> None:
    async def main() -> float:
        await pass_time(3599.0)
        return asyncio.get_running_loop().time()

    assert in_virtual_time(main()) == 3599.0


def test_timers_of_one_instant_run_in_the_order_in_which_they_were_set() -> None:
    async def main() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(200):
            loop.call_at(5.0, order.append, number)
        await pass_time(6.0)
        return order

    assert in_virtual_time(main()) == list(range(200))


def test_what_is_ready_runs_before_time_moves() -> None:
    async def main() -> list[str]:
        loop, order = asyncio.get_running_loop(), list[str]()
        loop.call_later(0.001, order.append, "timer")
        for _ in range(50):
            await asyncio.sleep(0)
            order.append("ready")
        await pass_time(1.0)
        return order

    assert in_virtual_time(main()) == ["ready"] * 50 + ["timer"]


def test_a_cancelled_timer_does_not_hold_time_up() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, print).cancel()
        for _ in range(20_000):
            loop.call_later(500.0, print).cancel()
        await pass_time(2.0)
        return loop.time()

    assert in_virtual_time(main()) == 2.0


def test_timeouts_of_asyncio_keep_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 12)
        return asyncio.get_running_loop().time()

    assert in_virtual_time(main()) == 42.0


def test_tasks_and_futures_hash_by_the_order_of_their_creation() -> None:
    async def main() -> tuple[list[str], list[int]]:
        tasks = {asyncio.create_task(pass_time(1.0), name=str(number)) for number in range(100)}
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        done, _ = await asyncio.wait(tasks)
        return [task.get_name() for task in done], [hash(one) for one in futures]

    names, hashes = in_virtual_time(main())
    assert (names, hashes) == in_virtual_time(main())
    assert sorted(map(int, names)) == list(range(100))
    assert hashes == sorted(hashes)


def test_a_deadlock_names_who_waits() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(wait_for_nobody(), name="patient"))

    with pytest.raises(SimulationStuck, match=r"patient at test_loop\.py:\d+"):
        in_virtual_time(main())


def test_a_deadlock_behind_a_closed_gate_says_so() -> None:
    async def main() -> None:
        gate = loop_of_this_run().create_gate("frozen")
        CURRENT_GATE.set(gate)
        task = asyncio.create_task(pass_time(1.0), name="held")
        gate.is_open = False
        CURRENT_GATE.set(None)
        await asyncio.wait([task])

    with pytest.raises(SimulationStuck, match="its process is stopped"):
        in_virtual_time(main())


def test_virtual_time_is_bounded() -> None:
    async def tick_for_ever() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(SimulationTooLong, match="10 s of virtual time"):
        run_virtual(tick_for_ever, limits=LoopLimits(max_virtual_s=10))


def test_spinning_in_one_instant_is_bounded() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(SimulationTooLong, match=r"at 0\.000000 s"):
        run_virtual(spin, limits=LoopLimits(max_steps_per_instant=1000))


def test_steps_are_bounded() -> None:
    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)

    with pytest.raises(SimulationTooLong, match="501 steps"):
        run_virtual(tick, limits=LoopLimits(max_steps=500))


async def use_an_executor() -> None:
    await asyncio.to_thread(time.time)


async def use_a_socket() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def use_a_datagram() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))


async def use_a_subprocess() -> None:
    await asyncio.create_subprocess_exec(sys.executable, "-c", "")


async def use_a_signal() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)


async def watch_a_descriptor() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def resolve_a_name() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


@pytest.mark.parametrize(
    "escape",
    [
        use_an_executor,
        use_a_socket,
        use_a_datagram,
        use_a_subprocess,
        use_a_signal,
        watch_a_descriptor,
        resolve_a_name,
    ],
)
def test_the_world_outside_is_refused(escape: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(SimulationEscape, match="asked its loop for"):
        run_virtual(escape)


def test_a_call_from_another_thread_is_refused() -> None:
    refused: list[BaseException] = []

    def call_in(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(print)
        except SimulationEscape as error:
            refused.append(error)

    async def main() -> None:
        thread = threading.Thread(target=call_in, args=(asyncio.get_running_loop(),))
        thread.start()
        thread.join()

    in_virtual_time(main())
    assert len(refused) == 1


def test_an_exception_that_escapes_a_callback_fails_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(int, "not a number")
        await pass_time(1.0)

    with pytest.raises(SimulationError, match="escaped"):
        in_virtual_time(main())


def test_tasks_left_over_are_cancelled_and_run_their_finally() -> None:
    ended: list[float] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await pass_time(5.0)
            ended.append(asyncio.get_running_loop().time())

    async def main() -> None:
        tasks.append(asyncio.create_task(linger()))
        await pass_time(1.0)

    tasks: list[asyncio.Task[None]] = []
    in_virtual_time(main())
    assert ended == [6.0]


def test_a_task_that_ignores_being_cancelled_is_named() -> None:
    async def ignore() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        tasks.append(asyncio.create_task(ignore(), name="deaf"))
        await pass_time(1.0)

    tasks: list[asyncio.Task[None]] = []
    with pytest.raises(SimulationError, match="deaf"):
        in_virtual_time(main())


def test_a_closed_gate_holds_what_is_due_in_order_while_time_goes_on() -> None:
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, asyncio.get_running_loop().time()))

    async def behind_the_gate() -> None:
        loop = asyncio.get_running_loop()
        for name, when in (("late", 2.0), ("early", 1.0), ("after", 9.0)):
            loop.call_at(when, note, name)
        await pass_time(3.0)
        note("task")
        await asyncio.sleep(0)

    async def main() -> None:
        loop = loop_of_this_run()
        gate = loop.create_gate("held")
        CURRENT_GATE.set(gate)
        task = asyncio.create_task(behind_the_gate())
        CURRENT_GATE.set(None)
        await pass_time(0.5)
        gate.is_open = False
        await pass_time(4.5)
        assert seen == []
        loop.open_gate(gate)
        await task
        await pass_time(5.0)

    in_virtual_time(main())
    assert seen == [("early", 5.0), ("late", 5.0), ("task", 5.0), ("after", 9.0)]


def test_results_and_errors_of_main_come_out() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    async def give() -> int:
        return 7

    assert run_virtual(give) == 7
    with pytest.raises(KeyError, match="mine"):
        run_virtual(fail)


PROGRAM = """
import asyncio
from ohmesh.simulator.run import run_virtual

async def work(number):
    await asyncio.sleep(number % 7)
    return number

async def main():
    order = []
    tasks = {asyncio.create_task(work(number)) for number in range(300)}
    while tasks:
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        order += [task.result() for task in done]
    return order, asyncio.get_running_loop().steps

print(run_virtual(main))
"""


def run_program(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


def test_two_interpreters_with_different_hash_seeds_run_alike() -> None:
    assert run_program("1") == run_program("4242")


def test_sockets_made_by_hand_cannot_be_awaited() -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            await asyncio.get_running_loop().sock_recv(left, 1)

    with pytest.raises(SimulationEscape, match="sock_recv"):
        in_virtual_time(main())
