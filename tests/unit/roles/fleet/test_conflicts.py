"""Conflicts in a fleet in virtual time: from an agent's report to a verdict, for every type."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.conflict import Conflict
from ohmesh.model.conflict_evidence import (
    FACT_PURPOSE,
    BranchState,
    ConflictOrder,
    Evidence,
    Fact,
    StampedEvent,
    encode,
    fact_payload,
)
from ohmesh.model.conflict_request import (
    ConflictAction,
    ConflictLogState,
    ConflictsPage,
    ConflictStory,
    GetConflict,
    ListConflicts,
    ResolveConflict,
    VerifyConflicts,
)
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_message import ReportedConflict, TargetState, Verb
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.hybrid_time import pack_stamp
from ohmesh.ports.population import Population, Rows
from ohmesh.roles.fleet.host import After
from ohmesh.roles.fleet.places import places_of
from ohmesh.trust.identity import Identity
from ohmesh.trust.key_ring import EnrolledKey, KeyRing
from ohmesh.trust.statement import sign_statement
from tests.unit.roles.fleet.conflicted_agents import ConflictedAgents, Obey
from tests.unit.roles.fleet.fleet_in_memory import Fleet, with_fleet
from tests.unit.simulator.passing_time import pass_time

Reports = dict[int, ReportedConflict | None]
GOOD = b"\7" * 8


def name(row: int) -> str:
    return f"s{row // 30:03}.c{row % 30 // 10:02}.a{row % 10:02}"


def people(
    reports: Reports, obey: Obey | None = None, *, can: tuple[str, ...] = ()
) -> Callable[[Rows, After], Population]:
    return lambda rows, _after: ConflictedAgents(rows, reports, obey, can=can)


async def open_ones(fleet: Fleet) -> tuple[Conflict, ...]:
    return (await fleet.ask(ListConflicts(), ConflictsPage)).conflicts


async def every(fleet: Fleet, **how: object) -> tuple[Conflict, ...]:
    question = ListConflicts(ended=True, **how)  # type: ignore[arg-type]
    return (await fleet.ask(question, ConflictsPage)).conflicts


async def resolve(fleet: Fleet, conflict: str, action: str, winner: str = "") -> Conflict:
    wish = ResolveConflict(conflict=conflict, action=ConflictAction(action), winner=winner)
    return (await fleet.ask(wish, ConflictStory)).conflict


def duty(fleet: Fleet, row: int) -> Duty:
    code = int(fleet.orchestrators[-1].registry.columns.duty[row])
    return DUTY_CODES[code]


async def speak(fleet: Fleet, **how: object) -> None:
    await fleet.operate("broadcast", verb=Verb.ACT, **how)
    await pass_time(2.0)


def test_a_wrong_context_is_quarantined_reloaded_and_released() -> None:
    said: list[ConflictOrder] = []

    def obey(_row: int, order: ConflictOrder) -> Evidence:
        said.append(order)
        return Evidence(context_hash=order.context_hash)

    async def story(fleet: Fleet) -> None:
        await fleet.operate("broadcast", verb=Verb.ACT)
        await pass_time(0.01)
        assert duty(fleet, 5) is Duty.QUARANTINED
        await pass_time(2.0)
        (one,) = await every(fleet)
        assert (one.state.value, one.priority, one.by) == ("released", 4, "reload_known_good")
        assert duty(fleet, 5) is Duty.READY
        assert [(order.ask, order.context_hash) for order in said] == [("reload", GOOD)]
        told = await fleet.ask(GetConflict(one.id), ConflictStory)
        assert [each.change for each in told.story] == ["opened", "moved", "overdue", "moved", "ended"]

    with_fleet(story, people=people({5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}, obey))


def test_one_that_does_not_load_it_stays_off_duty_until_a_person_releases_it() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        assert (one.state.value, one.blamed, one.quarantined) == ("escalated", (name(5),), (name(5),))
        assert any("needs a person" in notice for notice in fleet.notices)
        view = await fleet.operate("ping")
        assert (view.skipped, view.ready) == (1, 119)
        ended = await resolve(fleet, one.id, "released")
        assert (ended.state.value, ended.by) == ("released", "client")
        await pass_time(0.5)  # its process has been told
        assert duty(fleet, 5) is Duty.READY

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: Evidence(context_hash=b"bad")))


def test_what_is_discarded_stays_off_duty_and_may_be_released_later() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        assert (await resolve(fleet, one.id, "discarded")).state.value == "discarded"
        assert duty(fleet, 5) is Duty.QUARANTINED
        with pytest.raises(InvalidArgument):
            await resolve(fleet, one.id, "discarded")
        assert (await resolve(fleet, one.id, "released")).state.value == "released"
        await pass_time(0.5)  # its process has been told
        assert duty(fleet, 5) is Duty.READY

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: None))


def branching(row: int, order: ConflictOrder) -> Evidence:
    if order.ask == "merge":
        return Evidence(done=True)
    if row == 5:
        return Evidence(branch=BranchState(b"L", {"x": "1", "y": "1"}))
    return Evidence(branch=BranchState(b"R", {"x": "1", "z": "1"}))


def test_branches_that_converge_are_merged() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await every(fleet)
        assert (one.state.value, one.by, one.priority) == ("resolved", "branch_and_reconcile", 3)
        assert "3 keys" in one.outcome

    report: Reports = {5: ReportedConflict("context_divergence", divergence_depth=11)}
    with_fleet(story, people=people(report, branching))


def test_branches_that_do_not_converge_are_chosen_by_a_person() -> None:
    orders: list[ConflictOrder] = []

    def obey(row: int, order: ConflictOrder) -> Evidence:
        orders.append(order)
        if order.ask == "merge":
            return Evidence(done=True)
        return Evidence(branch=BranchState(b"L" if row == 5 else b"R", {"x": str(row == 5)}))

    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        assert one.state.value == "escalated"
        assert {order.ask for order in orders} == {"branch"}
        with pytest.raises(InvalidArgument):
            await resolve(fleet, one.id, "winner", "zz")
        ended = await resolve(fleet, one.id, "winner", b"L".hex())
        assert (ended.state.value, ended.winner, ended.by) == ("resolved", b"L".hex(), "client")
        assert orders[-1].values == {"x": "True"}

    with_fleet(story, people=people({5: ReportedConflict("context_divergence")}, obey))


SOURCE = Identity.from_seed("sensor", bytes(32))


def signed(fact: Fact) -> Fact:
    said = sign_statement(SOURCE, "test", FACT_PURPOSE, fact_payload(fact), stamp=fact.stamp)
    return msgspec.structs.replace(fact, signature=said)


def ring() -> KeyRing:
    keys = KeyRing()
    keys.enrol(EnrolledKey("sensor", SOURCE.public_key))
    return keys


def test_the_stronger_origin_wins_and_the_weaker_source_is_updated() -> None:
    updated: dict[int, str] = {}

    def obey(row: int, order: ConflictOrder) -> Evidence:
        if order.ask == "facts":
            mine = Fact("speed", "5", name(row), "sensor", 90)
            return Evidence(facts=(signed(mine) if row == 5 else Fact("speed", "7", name(row)),))
        updated[row] = order.value
        return Evidence(done=True)

    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await every(fleet)
        assert (one.state.value, one.by, one.winner) == ("resolved", "provenance_trace", "5")
        assert (one.reporters, one.count) == (2, 2)
        assert updated == {6: "5"}

    reports: Reports = {
        5: ReportedConflict("data_contradiction", "5", "7"),
        6: ReportedConflict("data_contradiction", "7", "5"),
    }
    with_fleet(story, people=people(reports, obey), keys=ring())


def test_one_that_contradicts_three_others_is_quarantined_and_the_evidence_is_kept() -> None:
    lie = encode(Evidence(facts=(Fact("speed", "7", name(9)),)))

    async def story(fleet: Fleet) -> None:
        await speak(fleet, where=f"agent in ({name(1)}, {name(2)})")
        assert duty(fleet, 9) is Duty.READY
        await speak(fleet, where=f"agent in ({name(3)})")
        assert duty(fleet, 9) is Duty.QUARANTINED
        (one,) = await open_ones(fleet)
        assert one.quarantined == (name(9),)
        assert fleet.orchestrators[-1].conflicts.quarantine.find(one.id).evidence == (lie,)  # type: ignore[union-attr]

    reports: Reports = {row: ReportedConflict("data_contradiction", "5", "7", lie) for row in (1, 2, 3)}
    with_fleet(story, people=people(reports, lambda _row, _order: None))


def test_causal_order_is_rebuilt_and_the_drifting_clock_is_named() -> None:
    events = (
        StampedEvent("1", name(1), pack_stamp(1_000, 0)),
        StampedEvent("2", name(2), pack_stamp(1_000, 0)),
        StampedEvent("3", name(7), pack_stamp(500, 0), ("1", "2")),
    )
    resynced: list[int] = []

    def obey(row: int, order: ConflictOrder) -> Evidence:
        if order.ask == "resync":
            resynced.append(row)
        return Evidence(done=True)

    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await every(fleet)
        assert (one.state.value, one.by, one.winner) == ("resolved", "clock_reconciliation", "1 < 2 < 3")
        assert resynced == [7]

    report: Reports = {5: ReportedConflict("temporal_paradox", data=encode(Evidence(events=events)))}
    with_fleet(story, people=people(report, obey))


def test_a_capability_is_revoked_and_its_work_goes_elsewhere() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet, where=f"agent in ({name(5)})", payload=b"look")
        (one,) = await every(fleet)
        assert (one.state.value, one.by, one.priority) == ("resolved", "reroute_and_remap", 1)
        assert one.winner
        assert one.winner != name(5)
        registry = fleet.orchestrators[-1].registry
        mask = registry.capabilities.holders("vision", registry.columns.capabilities)
        assert not mask[5]
        assert np.count_nonzero(mask) == 119

    report: Reports = {5: ReportedConflict("capability_mismatch", "vision")}
    with_fleet(story, people=people(report, can=("vision",)))


def test_a_conflict_without_a_reason_is_a_persons_and_is_escalated_at_its_deadline() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        assert (one.state.value, one.priority, one.method.value) == ("open", 2, "ask_a_person")
        await pass_time(590.0)
        assert (await open_ones(fleet))[0].state.value == "open"
        await pass_time(15.0)
        assert (await open_ones(fleet))[0].state.value == "escalated"
        assert [notice for notice in fleet.notices if "not settled in time" in notice]
        ended = await resolve(fleet, one.id, "winner", "the first")
        assert (ended.state.value, ended.winner) == ("resolved", "the first")

    with_fleet(story, people=people({5: None}))


def test_a_flood_is_one_conflict_with_a_count_and_the_rate_is_counted() -> None:
    async def story(fleet: Fleet) -> None:
        for _ in range(10):
            await fleet.operate("broadcast", verb=Verb.ACT)
        await pass_time(1.0)
        page = await fleet.ask(ListConflicts(), ConflictsPage)
        (one,) = page.conflicts
        assert (one.count, one.reporters, page.open) == (1_200, 120, 1)
        assert page.conflict_rate == 1.0
        assert (await fleet.ask(VerifyConflicts(), ConflictLogState)).entries == 1

    with_fleet(story, people=people(dict.fromkeys(range(120))))


def test_a_successor_goes_on_with_conflicts_and_quarantine() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        await pass_time(6.0)  # it is ordered twice in vain
        (before,) = await open_ones(fleet)
        assert before.state.value == "escalated"
        await fleet.kill("node-1")
        fleet.start_orchestrator(term=2)
        await pass_time(8.0)
        (after,) = await open_ones(fleet)
        assert (after.id, after.state) == (before.id, before.state)
        assert duty(fleet, 5) is Duty.QUARANTINED
        assert (await fleet.ask(VerifyConflicts(), ConflictLogState)).is_whole
        await resolve(fleet, after.id, "released")
        await pass_time(0.5)  # its process has been told
        assert duty(fleet, 5) is Duty.READY

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: None))


def test_conflicts_are_listed_by_state_type_and_agent() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        kinds = {one.detail.type.value for one in await every(fleet)}
        assert kinds == {"other", "capability_mismatch"}
        assert len(await every(fleet, kind="other")) == 1
        assert len(await every(fleet, agent=name(6))) == 1
        assert len(await every(fleet, state="open")) == 1
        assert len(await open_ones(fleet)) == 1
        with pytest.raises(InvalidArgument):
            await every(fleet, state="nonsense")

    reports: Reports = {5: ReportedConflict("odd word"), 6: ReportedConflict("capability_mismatch", "vision")}
    with_fleet(story, people=people(reports, can=("vision",)))


def test_who_starts_anew_is_still_in_quarantine() -> None:
    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        await fleet.kill("host-0")
        await pass_time(6.0)
        fleet.start_host(0)
        await pass_time(6.0)
        assert duty(fleet, 4) is Duty.READY
        assert duty(fleet, 5) is Duty.QUARANTINED

    report: Reports = {5: ReportedConflict("hash_mismatch", GOOD.hex(), "00")}
    with_fleet(story, people=people(report, lambda _row, _order: None))


def test_what_is_told_again_is_not_counted_again() -> None:
    async def story(fleet: Fleet) -> None:
        desk, topology = fleet.orchestrators[-1].conflicts, fleet.topology
        rows = np.arange(10, dtype=np.int64)
        count, none = len(rows), np.zeros(len(rows), np.int64)
        states = np.full(count, TargetState.CONFLICT, np.int8)
        table = AckTable("again", places_of(rows, topology), states, none, none, np.zeros(count, np.float32))
        desk.hear("again", table)
        desk.hear("again", table)
        (one,) = desk.queue.open()
        assert (one.count, desk.conflicting) == (10, 10)

    with_fleet(story)


def test_a_statement_that_was_made_of_another_value_is_forged() -> None:
    stolen = signed(Fact("speed", "5", name(5), "sensor", 90)).signature

    def obey(row: int, order: ConflictOrder) -> Evidence:
        if order.ask != "facts":
            return Evidence(done=True)
        mine = Fact("speed", "5", name(5), "sensor", 90, 0, stolen)
        lie = Fact("speed", "7", name(6), "sensor", 100, 0, stolen)
        return Evidence(facts=(mine if row == 5 else lie,))

    async def story(fleet: Fleet) -> None:
        await speak(fleet)
        (one,) = await open_ones(fleet)
        assert (one.state.value, one.blamed) == ("escalated", (name(6),))
        assert "'5' holds" in one.outcome
        assert duty(fleet, 6) is Duty.QUARANTINED
        assert duty(fleet, 5) is Duty.READY

    reports: Reports = {
        5: ReportedConflict("data_contradiction", "5", "7"),
        6: ReportedConflict("data_contradiction", "7", "5"),
    }
    with_fleet(story, people=people(reports, obey), keys=ring())
