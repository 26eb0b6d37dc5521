"""Whatever the network and the dispatcher do, every submission ends in exactly one answer."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.engines.memory.faults import BusFaults, EngineFaults
from ohmesh.errors import Backpressure, MeshUnreachable, OhmeshError
from ohmesh.model.message import Refusal
from ohmesh.model.task import Submission
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.client_handle import Standing, TaskHandle
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.scripted_dispatcher import ScriptedDispatcher, start_client
from tests.unit.simulator.passing_time import pass_time


class Weather(msgspec.Struct, frozen=True):
    """One scripted disaster: what the network does, whom the dispatcher refuses, what happens meanwhile."""

    seed: int
    loss: float
    duplication: float
    delay_ms: float
    refuse_every: int
    silent: bool
    outage_s: float
    replaced: bool
    cancelled: int
    window_bytes: int


WEATHER = st.builds(
    Weather,
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
    duplication=st.sampled_from([0.0, 0.3]),
    delay_ms=st.sampled_from([0.0, 5.0, 800.0]),
    refuse_every=st.sampled_from([0, 2, 5]),
    silent=st.booleans(),
    outage_s=st.sampled_from([0.0, 0.5, 10.0]),
    replaced=st.booleans(),
    cancelled=st.integers(0, 3),
    window_bytes=st.sampled_from([300, 2_000, 1_000_000]),
)


@settings(max_examples=60)
@given(WEATHER)
def test_every_handle_ends_in_exactly_one_of_accepted_refused_and_unreachable(weather: Weather) -> None:
    async def main() -> None:
        await live_through(weather)

    run_virtual(main)


async def live_through(weather: Weather) -> None:
    delay = (0.0, weather.delay_ms)
    bus = BusFaults(loss=weather.loss, duplication=weather.duplication, delay_ms=delay)
    cluster = MemoryCluster(faults=EngineFaults(bus=bus), seed=weather.seed)
    dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
    dispatcher.is_silent = weather.silent
    dispatcher.finishes = True

    def refuse(submission: Submission) -> Refusal | None:
        number = submission.payload[0]
        is_refused = weather.refuse_every and number % weather.refuse_every == 0
        return Refusal(submission.task_id, "submission_too_old", "Old.") if is_refused else None

    dispatcher.refuse = refuse
    await dispatcher.start()
    client = await start_client(
        cluster, config=ClientConfig(window_bytes=weather.window_bytes), seed=weather.seed
    )
    handles = submit_some(client, 20)
    waiting = [asyncio.create_task(submit_and_judge(client, 100 + number)) for number in range(10)]
    await pass_time(0.05)
    for task in waiting[: weather.cancelled]:
        task.cancel()
    if weather.outage_s:
        cluster.kill_server()
        await pass_time(weather.outage_s)
        cluster.start_server()
    if weather.replaced:
        successor = await dispatcher.replace(epoch=2)
        successor.refuse, successor.finishes = refuse, True
    standings = [await judge(handle) for handle in handles]
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    counts = client.statistics()
    assert Standing.UNANSWERED not in standings
    assert all(isinstance(answer, Standing | asyncio.CancelledError) for answer in answers)
    assert counts.submitted == counts.accepted + counts.refused + counts.unreachable
    assert (counts.unanswered, counts.unanswered_bytes) == (0, 0)
    for handle, standing in zip(handles, standings, strict=True):
        assert handle.standing is standing, "an answer is final"
    await client.close()


def submit_some(client: Client, count: int) -> list[TaskHandle]:
    """As many of them as the window takes."""
    handles = []
    for number in range(count):
        try:
            handles.append(client.submit_nowait(TaskRequest(kind="text", payload=bytes([number]))))
        except Backpressure:
            break
    return handles


async def judge(handle: TaskHandle) -> Standing:
    """The answer, which must agree with what waiting for it raises."""
    try:
        await handle.accepted()
    except MeshUnreachable:
        assert handle.standing is Standing.UNREACHABLE
    except OhmeshError:
        assert handle.standing is Standing.REFUSED
    else:
        assert handle.standing is Standing.ACCEPTED
    return handle.standing


async def submit_and_judge(client: Client, number: int) -> Standing:
    try:
        handle = await client.submit(TaskRequest(kind="text", payload=bytes([number])), timeout_s=15.0)
    except (MeshUnreachable, Backpressure):
        return Standing.UNREACHABLE
    except OhmeshError:
        return Standing.REFUSED
    assert handle.standing is Standing.ACCEPTED
    return Standing.ACCEPTED
