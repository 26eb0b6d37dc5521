"""The verbs about a fleet in Python, on a fleet of real roles in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from ohmesh import errors as tree
from ohmesh.handlers.simulated_agents import Unfit
from ohmesh.mesh import AsyncMesh
from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_request import MAX_STATES, OperationView
from ohmesh.model.state_order import EditContext, encode_state_order
from ohmesh.model.topology import Topology
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientPorts
from ohmesh.simulator.clock import SimulatedClock
from ohmesh.simulator.entropy import SimulatedEntropy
from ohmesh.simulator.run import run_virtual
from tests.unit.roles.fleet.fleet_in_memory import SUBJECTS, Fleet, is_accounted_for, with_fleet
from tests.unit.simulator.passing_time import pass_time

Outcome = TypeVar("Outcome")

EVERYBODY = 120
PEOPLE = "class=human"


def with_mesh(story: Callable[[AsyncMesh, Fleet], Awaitable[Outcome]], **how: object) -> Outcome:
    """`story` with the door and, behind it, the fleet."""

    async def meet(fleet: Fleet) -> Outcome:
        return await story(mesh_of(fleet), fleet)

    return with_fleet(meet, **how)


def mesh_of(fleet: Fleet) -> AsyncMesh:
    clock = SimulatedClock(asyncio.get_running_loop())
    ports = ClientPorts(fleet.cluster.connect("door").bus, clock, SimulatedEntropy(7, "door"))
    return AsyncMesh(Client(ports, subjects=SUBJECTS, shards=1))


def test_everybody_answers_a_ping() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ping()
        assert (view.what, view.outcome, view.ready, view.targets) == (
            "ping",
            "SUCCEEDED",
            EVERYBODY,
            EVERYBODY,
        )
        assert 0 <= view.offsets_ms["first"] <= view.offsets_ms["mean"] <= view.offsets_ms["last"] < 500
        assert sum(count for _, count in view.histogram) == EVERYBODY
        assert view.id in str(view)
        assert "120 of 120 ready, simulated agents" in str(view)

    with_mesh(story)


def test_a_few_are_shown_one_by_one_timed_from_the_start() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ping(sample=7, seed=3)
        assert len(view.agents) == len(view.states) == len(view.ready_ms) == view.targets == 7
        assert set(view.states) == {"ready"}
        assert all(ready is not None and 0 <= ready < 500 for ready in view.ready_ms)
        assert not (await mesh.ping(sample=31)).agents

    with_mesh(story)


def test_a_question_is_answered_by_class_and_answers_are_counted_by_value() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ask("which class are you of?", sample_size=0)
        listed = await mesh.fleet_agents(limit=1_000)
        assert dict(view.answers) == Counter(agent.class_title for agent in listed)
        hundred = await mesh.ask("which class?")
        assert hundred.targets == sum(count for _, count in hundred.answers) == 100
        (only,) = (await mesh.ask("which context do you hold?", filter="sector=2")).answers
        assert only == ("none", 30)

    with_mesh(story)


def test_a_question_about_context_tells_who_holds_another() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        order = encode_state_order(EditContext(put={"goal": b"ship"}))
        told = await fleet.operate(
            "state", verb=Verb.SYNC, payload=order, where="not (sector=1 and cluster=2)"
        )
        ((mark, _),) = told.answers
        few = await mesh.ask(
            "which context?", sample_size=0, filter="sector=1 and cluster=2 and not class=edge"
        )
        assert [answer for answer, _ in few.answers] == ["none"]
        asked = await mesh.ask("which context?", sample_size=0)
        assert dict(asked.answers) == {mark: 110, "none": 10}
        assert not asked.odd, "ten are no odd ones"
        three = await mesh.ask(
            "which context?", sample_size=0, filter="not sector=1 or agent in (s001.c02.a03, s001.c02.a04)"
        )
        assert three.odd == ("s001.c02.a03", "s001.c02.a04")

    with_mesh(story)


def test_another_seed_draws_others() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        drawn = [set((await mesh.ping(sample=20, seed=seed)).agents) for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]

    with_mesh(story)


def test_who_contradicts_has_no_answer() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ask("which context?", sample_size=0, timeout=1.0)
        assert view.conflict > 0
        assert view.transit > 0
        assert dict(view.answers) == {"none": view.ready}
        assert is_accounted_for(view)

    with_mesh(story, unfit=Unfit(dead=0.1, lying=0.1))


def test_a_message_has_arrived_long_before_people_have_done_it() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        told = await mesh.broadcast("market closed early", filter=PEOPLE, quorum=1.0)
        assert (told.outcome, told.rate) == ("SUCCEEDED", 1.0)
        assert told.elapsed_ms < 500
        done = await mesh.broadcast("market closed early", filter=PEOPLE, quorum=1.0, require_ack=True)
        assert done.outcome in {"PARTIAL", "FAILED"}
        assert done.transit > 0
        assert len(done.stragglers) == done.transit

    with_mesh(story)


def test_with_a_window_everybody_who_can_is_ready_at_t() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        held = await mesh.broadcast("now", window="800ms", quorum=0.9)
        assert (held.timing, held.skipped_for) == ("hold", {"insufficient_lead_time": held.skipped})
        assert held.target_ms - held.started_ms == 800
        assert held.hit_rate >= 0.9
        led = await mesh.broadcast("now", window=0.8, timing="lead", quorum=0.9)
        assert led.timing == "lead"
        assert led.offsets_ms["first"] < 0 < led.offsets_ms["last"]

    with_mesh(story)


@pytest.mark.parametrize(("strategy", "stages"), [("wave", 3), ("parallel", 1), ("priority_first", 6)])
def test_a_cascade_has_the_stages_of_its_strategy(strategy: str, stages: int) -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.cascade("new prices", strategy=strategy)
        assert (view.strategy, view.outcome, len(view.stages)) == (strategy, "SUCCEEDED", stages)

    with_mesh(story)


def test_what_is_detached_is_awaited_by_its_id_and_listed() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        begun = await mesh.broadcast("x", require_ack=True, timeout=3, detach=True)
        assert (begun.outcome, begun.is_decided) == ("", False)
        assert "under way" in str(begun)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(tree.ResultTimeout, match=begun.id):
            await mesh.wait_operation(begun.id, timeout=0.5)
        assert loop.time() - began_s >= 0.5
        ended = await mesh.wait_operation(begun.id, timeout=30)
        assert (ended.id, ended.outcome) == (begun.id, "PARTIAL")
        assert [one.id for one in await mesh.operations()] == [begun.id]

    with_mesh(story)


def test_without_a_t_a_timeout_may_be_as_short_as_it_likes() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.broadcast("x", filter=PEOPLE, require_ack=True, timeout="100ms")
        assert (view.outcome, view.elapsed_ms) == ("FAILED", 100)
        with pytest.raises(tree.InvalidArgument, match="timeout"):
            await mesh.broadcast("x", timing="hold", timeout="100ms")

    with_mesh(story)


def test_any_of_the_four_is_begun_by_its_name() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        assert not (await mesh.start_operation("ping")).is_decided
        ping = await mesh.start_operation("ping", wait=10)
        assert (ping.outcome, ping.rate_wanted, ping.targets) == ("SUCCEEDED", 1.0, EVERYBODY)
        asked = await mesh.start_operation("ask", message="which class?", wait=10)
        assert (asked.targets, asked.rate_wanted) == (100, 1.0)
        assert asked.answers
        told = await mesh.start_operation("cascade", message="x", strategy="parallel", sample=50, wait=10)
        assert (told.strategy, told.targets) == ("parallel", 50)

    with_mesh(story)


def test_every_silent_one_is_named() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ping(timeout=1)
        assert view.outcome == "PARTIAL"
        record = await mesh.operation(view.id, agents=True)
        states = dict(zip(record.agents, record.states, strict=True))
        assert Counter(states.values()) == {"ready": view.ready, "transit": view.transit}
        assert {agent for agent, state in states.items() if state == "transit"} == set(view.stragglers)

    with_mesh(story, unfit=Unfit(dead=0.2))


def test_more_states_than_one_message_holds_are_put_together() -> None:
    topology = Topology(84, 10, 30)

    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        view = await mesh.ping()
        record = await mesh.operation(view.id, agents=True)
        assert (
            len(set(record.agents))
            == len(record.states)
            == len(record.ready_ms)
            == topology.size
            > MAX_STATES
        )
        assert record.after == -1

    with_mesh(story, topology=topology, cuts=(0, topology.size))


def test_as_many_as_are_expected_are_enough() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        some = await mesh.broadcast("x", require_ack=True, expect=40)
        assert some.outcome == "SUCCEEDED"
        assert 40 <= some.ready < EVERYBODY
        assert some.expected == 40

    with_mesh(story)


def test_the_same_key_is_the_same_operation() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        first, again = [await mesh.ping(key="daily") for _ in range(2)]
        other = await mesh.ping(key="weekly")
        assert first.id == again.id != other.id
        assert len(await mesh.operations()) == 2

    with_mesh(story)


def test_the_fleet_its_agents_its_sectors_and_its_clusters() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        found = await mesh.fleet()
        assert (found.agents, found.active, found.simulated, found.mode) == (120, 120, 120, "FULL")
        assert "all SIMULATED" in str(found)
        pages = [await mesh.fleet_agents(filter="not class=human", limit=50)]
        while pages[-1].after:
            pages.append(await mesh.fleet_agents(filter="not class=human", limit=50, after=pages[-1].after))
        agents = [agent.agent for page in pages for agent in page]
        assert len(set(agents)) == len(agents) == pages[0].total < EVERYBODY
        assert [(one.scope, one.agents) for one in await mesh.fleet_sectors()] == [
            (f"s{number:03}", 30) for number in range(4)
        ]
        assert [one.scope for one in await mesh.fleet_clusters(sector=1)] == [
            f"s001.c{number:02}" for number in range(3)
        ]
        assert len(await mesh.fleet_clusters()) == 12

    with_mesh(story)


def test_the_best_are_able_and_have_the_lowest_impedance() -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        best = await mesh.fleet_best("gpu", limit=4)
        everyone = [agent.lead_ms for agent in await mesh.fleet_agents(filter="capability=gpu", limit=1_000)]
        assert [agent.lead_ms for agent in best] == sorted(everyone)[:4]
        (first,) = await mesh.fleet_best(filter="sector=2", limit=1)
        assert first.sector == 2
        with pytest.raises(tree.NoCapableAgentError, match="juggling"):
            await mesh.fleet_best("gpu", "juggling")

    with_mesh(story)


def test_a_degraded_fleet_wants_what_is_urgent_and_approved() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        for name in ("host-1", "host-2", "host-3"):
            await fleet.kill(name)
        await pass_time(8.0)
        assert (await mesh.fleet()).mode == "EMERGENCY"
        with pytest.raises(tree.Backpressure, match="CRITICAL"):
            await mesh.broadcast("x")
        with pytest.raises(tree.NotConfirmed, match="approve"):
            await mesh.broadcast("x", priority="critical")
        assert (await mesh.broadcast("x", priority="critical", approved=True)).ready == 30
        assert (await mesh.ping(timeout=1)).ready == 30, "reading is always allowed"

    with_mesh(story, cuts=(0, 30, 60, 90, 120))


Wrong = Callable[[AsyncMesh], Awaitable[object]]


@pytest.mark.parametrize(
    ("wrong", "error", "word"),
    [
        (lambda mesh: mesh.ping(filter="sektor=1"), tree.InvalidSelector, "sektor"),
        (lambda mesh: mesh.fleet_agents(filter="class ="), tree.InvalidSelector, "found the end"),
        (lambda mesh: mesh.ping(quorum=0), tree.InvalidArgument, "quorum"),
        (lambda mesh: mesh.ping(quorum=1.1), tree.InvalidArgument, "quorum"),
        (lambda mesh: mesh.broadcast("x", window="0ms"), tree.InvalidArgument, "window"),
        (lambda mesh: mesh.broadcast("x", window="500"), tree.InvalidArgument, "window"),
        (lambda mesh: mesh.broadcast("x", window="2s", timeout="1s"), tree.InvalidArgument, "timeout"),
        (lambda mesh: mesh.broadcast("x", timeout=-1), tree.InvalidArgument, "timeout"),
        (lambda mesh: mesh.broadcast("x", window="1s", timing="now"), tree.InvalidArgument, "window"),
        (lambda mesh: mesh.broadcast("x", timing="later"), tree.InvalidArgument, "timing"),
        (lambda mesh: mesh.broadcast(""), tree.InvalidArgument, "message"),
        (lambda mesh: mesh.broadcast("x" * 20_000), tree.InvalidArgument, "message"),
        (lambda mesh: mesh.broadcast("ohmesh.state/1\0x"), tree.InvalidArgument, "message"),
        (lambda mesh: mesh.ask("x", sample_size=-1), tree.InvalidArgument, "sample"),
        (lambda mesh: mesh.cascade("x", strategy="zigzag"), tree.InvalidArgument, "zigzag"),
        (lambda mesh: mesh.cascade("x", priority="urgent"), tree.InvalidArgument, "urgent"),
        (lambda mesh: mesh.start_operation("sing"), tree.InvalidArgument, "sing"),
        (lambda mesh: mesh.start_operation("ping", message="x"), tree.InvalidArgument, "message"),
        (lambda mesh: mesh.operation("nowhere"), tree.UnknownOperation, "nowhere"),
        (lambda mesh: mesh.wait_operation("nowhere"), tree.UnknownOperation, "nowhere"),
        (lambda mesh: mesh.fleet_agents(after="-1"), tree.InvalidArgument, "after"),
        (lambda mesh: mesh.fleet_agents(limit=0), tree.InvalidArgument, "limit"),
        (lambda mesh: mesh.fleet_clusters(sector=-2), tree.InvalidArgument, "sector"),
    ],
)
def test_a_mistake_is_named_and_nothing_begins(
    wrong: Wrong, error: type[tree.OhmeshError], word: str
) -> None:
    async def story(mesh: AsyncMesh, _fleet: Fleet) -> None:
        with pytest.raises(error, match=word):
            await wrong(mesh)
        assert not len(await mesh.operations())

    with_mesh(story)


def test_without_a_fleet_it_is_said_within_seconds_how_one_is_started() -> None:
    async def main() -> float:
        mesh, loop = mesh_of(Fleet()), asyncio.get_running_loop()
        with pytest.raises(tree.MeshUnreachable, match="ohmesh up --agents"):
            await mesh.ping()
        return loop.time()

    assert run_virtual(main) <= 5.0


def test_a_question_outlives_the_change_of_the_orchestrator() -> None:
    async def story(mesh: AsyncMesh, fleet: Fleet) -> None:
        await fleet.kill("node-1")
        asking: asyncio.Task[OperationView] = asyncio.create_task(mesh.ping(timeout=5))
        await pass_time(3.0)
        fleet.start_orchestrator(term=2)
        assert (await asking).targets in {0, EVERYBODY}

    with_mesh(story)
