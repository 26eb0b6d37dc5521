"""The executor: refuses who was replaced, tells what got lost, repeats until it is settled, and leaves in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

import pytest

from ohmesh.engines.memory.faults import BusFaults, EngineFaults
from ohmesh.errors import InvalidArgument, SimulationError
from ohmesh.model.agent import AgentSpec, Duty
from ohmesh.model.frame import MAX_FRAME_BYTES, encode_frame
from ohmesh.model.message import Enquire, Grants, HostReport, Outcomes, Revoke, Settled
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, TaskFailure
from ohmesh.ports.runner import NoticeItems, NoticeProgress, Report, Resize
from ohmesh.simulator.process import Condition
from ohmesh.simulator.world import World, run
from tests.unit.roles.lone_host import CONFIG, SUBJECTS, LoneHost, grant
from tests.waiting import eventually

Story = Callable[[LoneHost], Coroutine[None, None, None]]


def hosted(story: Story) -> None:
    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open()
        await story(host)

    run(main, seed=1)


def test_a_host_says_who_it_is_and_what_it_can_do() -> None:
    async def story(host: LoneHost) -> None:
        report = host.reports()[0]
        assert report.agents == [AgentSpec("host/agent", "kind", (), 10)]
        assert (report.epoch, report.number, report.held, report.pid, report.version) == (0, 0, [], 17, "1.0")
        await asyncio.sleep(10)
        assert 10 <= len(host.reports()) <= 11

    hosted(story)


def test_a_grant_is_run_and_its_outcome_repeated_until_it_is_settled() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1))
        await asyncio.sleep(3)
        count = len(host.outcomes())
        assert count >= 3
        assert {outcome.status for outcome in host.outcomes()} == {OutcomeStatus.SUCCEEDED}
        assert host.executor.held_leases() == [1]
        await host.say(Settled(0, 1, [1]))
        await asyncio.sleep(3)
        assert len(host.outcomes()) == count
        assert host.executor.held_leases() == []

    hosted(story)


def test_an_outcome_is_repeated_as_soon_as_its_time_has_come_and_not_with_the_next_heartbeat() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1))
        await host.ended(1)
        began_s = host.world.loop.time()
        await eventually(lambda: len(host.outcomes()) == 2, what="it is repeated")
        assert host.world.loop.time() - began_s <= 2 * CONFIG.resend_ms / 1000

    hosted(story)


def test_grants_of_a_lower_epoch_are_refused() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1), epoch=5)
        await host.give(grant(2), epoch=4, number=2)
        await asyncio.sleep(2)
        assert {outcome.lease for outcome in host.outcomes()} == {1}
        assert host.executor.statistics.refused_frames == 1

    hosted(story)


def test_revocations_and_settlements_of_a_lower_epoch_are_refused() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "slow-t"), epoch=5)
        await host.say(Revoke(0, 4, [1]), Settled(0, 4, [1]))
        await host.ended(1)
        assert host.outcomes()[0].status is OutcomeStatus.SUCCEEDED

    hosted(story)


def test_a_gap_in_the_frames_is_reported_at_once_with_what_is_held() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "hang-1"), number=1)
        await asyncio.sleep(0.05)
        host.forget()
        await host.give(grant(3, "hang-3"), number=3)
        await asyncio.sleep(0.05)
        (report,) = host.reports()
        assert (report.number, sorted(report.held)) == (3, [1, 3])
        assert host.executor.statistics.gaps == 1

    hosted(story)


def test_a_frame_that_comes_twice_or_late_is_run_once() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1), number=1)
        await host.give(grant(2), number=2)
        await host.give(grant(1), number=1)
        await asyncio.sleep(0.05)
        assert host.executor.statistics.grants == 2

    hosted(story)


def test_a_new_epoch_counts_its_frames_anew_and_hears_a_report_at_once() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "hang-1"), epoch=1, number=7)
        await asyncio.sleep(0.05)
        host.forget()
        await host.say(Settled(0, 2, [99]))
        await asyncio.sleep(0.05)
        (report,) = host.reports()
        assert (report.epoch, report.number, report.held) == (2, 0, [1])
        await host.give(grant(2), epoch=2, number=1)
        await host.ended(2)

    hosted(story)


def test_an_enquiry_is_answered_with_a_report_and_every_outcome_that_is_not_settled() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1), grant(2, "hang-2"))
        await host.ended(1)
        host.forget()
        everybody = encode_frame("d", 2, 1, [Enquire(0, 2)])
        await host.outside.bus.publish(SUBJECTS.every_host(), everybody)
        await asyncio.sleep(0.05)
        assert [outcome.lease for outcome in host.outcomes()] == [1]
        assert sorted(host.reports()[0].held) == [1, 2]

    hosted(story)


def test_a_revoked_lease_is_stopped_and_reported() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "hang-1"))
        await host.say(Revoke(0, 1, [1, 99]))
        await host.ended(1)
        assert {outcome.status for outcome in host.outcomes()} == {OutcomeStatus.CANCELLED}

    hosted(story)


def test_a_revocation_changes_nothing_about_what_has_ended() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1))
        await host.ended(1)
        await host.say(Revoke(0, 1, [1]))
        await asyncio.sleep(2)
        assert {outcome.status for outcome in host.outcomes()} == {OutcomeStatus.SUCCEEDED}

    hosted(story)


def test_after_the_connection_was_lost_everything_that_is_not_settled_is_said_again() -> None:
    async def story(host: LoneHost) -> None:
        host.world.cluster.partition("host")
        await asyncio.sleep(5)
        host.forget()
        host.world.cluster.heal("host")
        await eventually(host.reports, what="the host reports", timeout_s=0.5)
        await host.give(grant(1))
        await host.ended(1)
        host.world.cluster.partition("host")
        await asyncio.sleep(10)
        host.forget()
        host.world.cluster.heal("host")
        await eventually(host.outcomes, what="the outcome is said again", timeout_s=0.5)
        assert len(host.outcomes()) == 1

    hosted(story)


def test_bytes_that_are_no_frame_harm_nobody() -> None:
    async def story(host: LoneHost) -> None:
        await host.outside.bus.publish(SUBJECTS.host("host"), b"garbage")
        await host.say(Grants(77, 1, 1, [grant(1)]))
        await host.give(grant(2))
        await host.ended(2)
        assert {outcome.lease for outcome in host.outcomes()} == {2}

    hosted(story)


def test_a_host_that_leaves_finishes_what_runs_returns_the_rest_and_says_goodbye_last() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "slow-1"), grant(2, "hang-2"))
        await asyncio.sleep(0.05)
        host.executor.leave()
        await asyncio.sleep(0.05)
        assert host.reports()[-1].duty is Duty.DRAINING
        await host.give(grant(3), number=2)
        await host.ended(1, 2, 3)
        await host.say(Settled(0, 1, [1, 2, 3]))
        await eventually(lambda: host.process.condition is Condition.ENDED, what="it is gone")
        statuses = {outcome.lease: outcome.status for outcome in host.outcomes()}
        assert statuses[1] is OutcomeStatus.SUCCEEDED
        assert statuses[3] is OutcomeStatus.RETURNED
        last = host.heard[-1]
        assert isinstance(last, HostReport)
        assert (last.leaving, last.held) == (True, [])
        assert [report.leaving for report in host.reports()].count(True) == 1

    hosted(story)


def test_a_host_that_is_stopped_says_goodbye_too() -> None:
    async def story(host: LoneHost) -> None:
        await host.world.stop("host")
        await eventually(lambda: host.reports()[-1].leaving, what="the goodbye arrives")

    hosted(story)


def test_a_host_that_leaves_while_no_dispatcher_answers_waits_no_longer_than_it_may() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1))
        await host.ended(1)
        began_s = host.world.loop.time()
        host.executor.leave()
        await eventually(lambda: host.process.condition is Condition.ENDED, what="it is gone")
        assert host.world.loop.time() - began_s <= CONFIG.drain_s + CONFIG.settle_s + 0.1
        assert host.reports()[-1].held == [1]

    hosted(story)


def test_what_comes_back_while_leaving_is_waited_for_although_all_was_settled_before() -> None:
    async def story(host: LoneHost) -> None:
        await host.give(grant(1, "slow-1"))
        await asyncio.sleep(0.05)
        host.executor.leave()
        await host.ended(1)
        await host.say(Settled(0, 1, [1]))
        await host.give(grant(2), number=2)
        await asyncio.sleep(0.2)
        assert host.outcomes()[-1].status is OutcomeStatus.RETURNED
        await host.say(Settled(0, 1, [2]))
        await eventually(lambda: host.process.condition is Condition.ENDED, what="it is gone")
        assert host.reports()[-1].held == []

    hosted(story)


def test_outcomes_get_through_a_bus_that_loses_a_third() -> None:
    async def story(host: LoneHost) -> None:
        host.world.cluster.set_faults(EngineFaults(bus=BusFaults(loss=0.3, duplication=0.3)))
        for number in range(1, 31):
            await host.give(grant(number), number=number)
        await asyncio.sleep(20)
        got = {outcome.lease for outcome in host.outcomes()}
        assert got == set(host.executor.held_leases())
        assert len(got) > 15

    hosted(story)


class Talkative:
    """A runner whose agents give back whatever they like."""

    def __init__(self, outcome: Callable[[Grant], Outcome]) -> None:
        self._outcome = outcome
        self._report: Report

    takes_envelopes = False

    def watch_progress(self, notice: NoticeProgress) -> None:
        return

    def watch_items(self, notice: NoticeItems) -> None:
        return

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        self._report = report
        return [AgentSpec("agent", "kind", (), 1)]

    def run(self, grants: Sequence[Grant]) -> None:
        self._report([self._outcome(one) for one in grants])

    def cancel(self, leases: Sequence[int]) -> None:
        return

    async def stop(self, *, grace_s: float) -> None:
        return


@pytest.mark.parametrize(
    "outcome",
    [
        lambda one: Outcome(one.lease, one.task_id, OutcomeStatus.SUCCEEDED, b"x" * 2 * MAX_FRAME_BYTES),
        lambda one: Outcome(
            one.lease,
            one.task_id,
            OutcomeStatus.FAILED,
            failure=TaskFailure("E", "m", "錯" * (MAX_FRAME_BYTES // 2)),
        ),
    ],
)
def test_an_outcome_that_fits_no_message_fails_its_task_for_good(outcome: Callable[[Grant], Outcome]) -> None:
    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open(Talkative(outcome))
        await host.give(grant(1))
        await host.ended(1)
        ended = host.outcomes()[0]
        assert ended.status is OutcomeStatus.FAILED_PERMANENTLY
        assert ended.failure is not None
        assert ended.failure.kind == "PayloadTooLarge"

    run(main, seed=1)


def test_a_host_whose_voice_fails_ends_and_is_no_silent_ghost() -> None:
    """An error nobody expected in what it sends must end run(), not only the sending."""

    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open(
            Talkative(lambda one: Outcome(one.lease, "t", OutcomeStatus.SUCCEEDED, started_ms=1 << 80))
        )
        await host.give(grant(1))
        await eventually(lambda: not host.process.is_alive, what="the host ends")

    with pytest.raises(SimulationError):
        run(main, seed=1)


def test_a_second_host_of_a_name_that_is_alive_is_refused() -> None:
    async def main(world: World) -> None:
        host = LoneHost(world)
        await host.open()
        second = LoneHost(world)
        with pytest.raises(InvalidArgument, match="A worker named 'host' is alive"):
            await second.executor_in(host.process).run()
        world.crash("host")
        await LoneHost(world).open()

    run(main, seed=1)


def test_grants_are_split_over_frames_and_outcomes_too() -> None:
    async def story(host: LoneHost) -> None:
        large = [Grant(n, f"t{n}", "agent", b"x" * 200_000, 1, 60_000) for n in range(1, 9)]
        for number, one in enumerate(large, 1):
            await host.give(one, number=number)
        await host.ended(*range(1, 9))
        sizes = [
            sum(len(outcome.value) for outcome in body.outcomes)
            for body in host.heard
            if isinstance(body, Outcomes)
        ]
        assert max(sizes) <= MAX_FRAME_BYTES

    hosted(story)
