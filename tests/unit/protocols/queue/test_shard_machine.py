"""Whatever happens to a shard in whatever order, its books are right, and everything ends once hosts are willing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ohmesh.model.agent import AgentSpec
from ohmesh.model.envelope import item_id, join
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import (
    ChangeTasks,
    KindState,
    LimitKind,
    Outcomes,
    PauseKind,
    TaskChange,
    TasksChanged,
)
from ohmesh.model.task import (
    DEAD_LETTER_STATES,
    FINAL_STATES,
    Grant,
    ItemFailure,
    OpenedItems,
    Outcome,
    OutcomeStatus,
    TaskFailure,
    TaskState,
)
from ohmesh.protocols.queue import dead_letters, limiting, pausing
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.rows import Granted, Opened, Row, Succeeded
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.task_table import TaskTable
from ohmesh.protocols.queue.waiting import is_waiting
from tests.unit.protocols.queue.shard_driver import ShardDriver, submission

HOSTS = ("h1", "h2", "h3")
FAILURES = (OutcomeStatus.FAILED, OutcomeStatus.FAILED_PERMANENTLY, OutcomeStatus.TIMED_OUT)
CAPABILITIES: dict[str, tuple[str, ...]] = {"h1": (), "h2": ("gpu",), "h3": ("gpu", "large")}
CONFIG = ShardConfig(
    step_bytes=600, retention_ms=60_000, retained_tasks=30, horizon_ms=120_000, horizon_tasks=50, losses=50
)


def frozen(table: TaskTable) -> bytes:
    return encode_snapshot(table, 0, b"")


class ShardMachine(RuleBasedStateMachine):
    config = CONFIG

    def __init__(self) -> None:
        super().__init__()
        self.driver = ShardDriver(self.config)
        self.held: dict[str, dict[int, Grant]] = {host: {} for host in HOSTS}
        self.taken: dict[str, int] = dict.fromkeys(HOSTS, 0)
        self.incarnations: dict[str, int] = dict.fromkeys(HOSTS, 1)
        self.numbers: dict[str, int] = dict.fromkeys(HOSTS, 0)
        self.epochs: dict[str, int] = dict.fromkeys(HOSTS, 0)
        self.counter = 0

    @initialize()
    def begin(self) -> None:
        self.heartbeat("h1", 3)

    def _deliver(self, host: str, *, lose: bool = False) -> None:
        """The host receives (or misses) what was sent to it since the last time."""
        grants = self.driver.granted(host)[self.taken[host] :]
        self.taken[host] += len(grants)
        if grants and not lose:
            self.held[host].update({grant.lease: grant for grant in grants})
        self.numbers[host] = self.driver.heard.numbers.get(host, 0)
        self.epochs[host] = self.driver.epoch
        for lease in self.driver.heard.settled.pop(host, []) + self.driver.heard.revoked.pop(host, []):
            self.held[host].pop(lease, None)

    @rule(
        count=st.integers(1, 8),
        priority=st.integers(0, 3),
        delay=st.sampled_from([0, 0, 500]),
        requires=st.sampled_from([(), (), ("gpu",)]),
    )
    def submit(self, count: int, priority: int, delay: int, requires: tuple[str, ...]) -> None:
        names = [f"t{self.counter + n}" for n in range(count)]
        self.counter += count
        due_ms = self.driver.now_ms + delay if delay else 0
        self.driver.submit(*names, priority=priority, due_ms=due_ms, requires=requires)

    @rule(items=st.integers(1, 5), priority=st.integers(0, 3))
    def submit_envelope(self, items: int, priority: int) -> None:
        name = f"e{self.counter}"
        self.counter += 1
        payload = join([b"\xc4\x01%d" % item for item in range(items)], items)
        self.driver.submit(name, priority=priority, payload=payload, items=items)

    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        if self.driver.heard.accepted:
            name = data.draw(st.sampled_from(self.driver.heard.accepted))
            items = 1 if name.startswith("e") else 0
            self.driver.submit(name, payload=join([b"\x01"], 1), items=items)

    @rule(host=st.sampled_from(HOSTS), slots=st.integers(0, 5))
    def heartbeat(self, host: str, slots: int) -> None:
        self._report(host, slots)

    def _report(self, host: str, slots: int, **fields: object) -> None:
        known = self.epochs[host] == self.driver.epoch
        self.driver.report(
            host,
            specs=[AgentSpec(f"{host}/agent", "kind", CAPABILITIES[host], slots)],
            takes_envelopes=host != "h1",
            incarnation=self.incarnations[host],
            epoch=self.driver.epoch,
            number=self.numbers[host] if known else 0,
            held=list(self.held[host]),
            **fields,
        )
        self.epochs[host] = self.driver.epoch

    @rule(host=st.sampled_from(HOSTS), lose=st.booleans())
    def deliver(self, host: str, lose: bool) -> None:
        self._deliver(host, lose=lose)

    @rule(
        host=st.sampled_from(HOSTS),
        data=st.data(),
        statuses=st.lists(st.sampled_from(list(OutcomeStatus)), min_size=1, max_size=4),
        forget=st.booleans(),
    )
    def outcomes(self, host: str, data: st.DataObject, statuses: list[OutcomeStatus], forget: bool) -> None:
        """Some leases of the host end; perhaps it reports them again later, perhaps twice in one message."""
        if not self.held[host]:
            return
        leases = data.draw(st.lists(st.sampled_from(sorted(self.held[host])), min_size=1, max_size=4))
        outcomes = [
            outcome_of(self.held[host][lease], status, data)
            for lease, status in zip(leases, statuses, strict=False)
        ]
        self.driver.shard.outcomes(Outcomes(host, self.incarnations[host], outcomes), self.driver.now_ms)
        self.driver.settle()
        if forget:
            self._deliver(host)

    @rule(lease=st.integers(1, 200), host=st.sampled_from(HOSTS))
    def a_stranger_claims_success(self, lease: int, host: str) -> None:
        task = self.driver.shard.table.leases.get(lease)
        before = (task.state, task.lease) if task else None
        if task is not None and task.agent.startswith(host):
            return
        outcome = Outcome(lease, "whatever", OutcomeStatus.SUCCEEDED, b"forged")
        self.driver.shard.outcomes(Outcomes(host, 1, [outcome]), self.driver.now_ms)
        self.driver.settle()
        assert task is None or (task.state, task.lease) == before

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.driver.heard.accepted:
            task_id = data.draw(st.sampled_from(self.driver.heard.accepted))
            if task_id.startswith("e") and data.draw(st.booleans()):
                task_id = item_id(task_id, data.draw(st.integers(0, 5)))
            self.driver.cancel(task_id)
            task = self.driver.shard.table.find(task_id)
            assert task is None or task.state in FINAL_STATES

    @rule(
        data=st.data(),
        change=st.sampled_from(list(TaskChange)),
        everything=st.booleans(),
        wish=st.sampled_from(["one wish", "another"]),
    )
    def change_tasks(self, data: st.DataObject, change: TaskChange, everything: bool, wish: str) -> None:
        names = self.driver.heard.accepted
        everything = everything and change is not TaskChange.RETRY
        ids = [] if everything or not names else data.draw(st.lists(st.sampled_from(names), max_size=4))
        message = ChangeTasks(change, wish, ids, everything)
        before = {
            task.task_id: task.order for task in self.driver.shard.table.every() if task.request == wish
        }
        answer = dead_letters.change_tasks(self.driver.shard, message, self.driver.now_ms)
        assert isinstance(answer, TasksChanged)
        accounted = answer.done + answer.too_late + answer.unknown
        assert len(accounted) == len(set(accounted))
        assert everything or set(accounted) == set(ids)
        after = {task.task_id: task.order for task in self.driver.shard.table.every()}
        assert all(after[name] == order for name, order in before.items()), "a wish is one run"
        self.driver.settle()

    @rule(is_paused=st.booleans())
    def pause(self, is_paused: bool) -> None:
        grants = len([row for row in self.driver.rows() if isinstance(row, Granted)])
        pausing.pause(self.driver.shard, PauseKind("kind", is_paused), self.driver.now_ms)
        self.driver.settle()
        if is_paused:
            assert grants == len([row for row in self.driver.rows() if isinstance(row, Granted)])

    @rule(limit=st.sampled_from([None, KindLimit(concurrency=2), KindLimit(5, 1_000, 3, 4)]))
    def limit(self, limit: KindLimit | None) -> None:
        answer = limiting.limit_kind(self.driver.shard, LimitKind("kind", limit), self.driver.now_ms)
        assert isinstance(answer, KindState)
        self.driver.settle()

    @rule(host=st.sampled_from(HOSTS))
    def restart_host(self, host: str) -> None:
        self.incarnations[host] += 1
        self.held[host] = {}
        self.taken[host] = len(self.driver.granted(host))
        self.numbers[host] = 0
        self._report(host, 2)

    @rule(host=st.sampled_from(HOSTS))
    def host_leaves(self, host: str) -> None:
        self._report(host, 2, leaving=True)
        self.held[host] = {}

    @rule(duration_ms=st.sampled_from([10, 400, 3_000, 11_000, 70_000]))
    def time_passes(self, duration_ms: int) -> None:
        self.driver.wait(duration_ms)

    @rule(back_ms=st.sampled_from([1, 5_000, 100_000]))
    def the_clock_steps_back(self, back_ms: int) -> None:
        self.driver.now_ms -= back_ms

    @rule()
    def a_successor_replays(self) -> None:
        self.driver.take_over()

    @rule()
    def a_successor_loads_a_snapshot(self) -> None:
        data = encode_snapshot(self.driver.shard.table, 7, b"digest")
        table, sequence, previous = decode_snapshot(data, self.config.parking)
        assert (sequence, previous) == (7, b"digest")
        assert frozen(table) == frozen(self.driver.shard.table)
        self.driver.take_over(table)

    @invariant()
    def replay_gives_the_same_table(self) -> None:
        assert frozen(self.driver.replayed()) == frozen(self.driver.shard.table)

    @invariant()
    def slots_are_taken_by_live_leases_only(self) -> None:
        shard = self.driver.shard
        accounted = [lease for host in shard.fleet.hosts.values() for lease, _ in host.leases()]
        assert sorted(accounted) == sorted(shard.table.leases)
        tasks = [task.task_id for task in shard.table.leases.values()]
        assert len(set(tasks)) == len(tasks)

    @invariant()
    def places_of_a_limit_are_taken_by_live_leases_only(self) -> None:
        table = self.driver.shard.table
        held = {kind: set(table.leases) for kind in table.limits.of}
        assert table.limits.held == held

    @invariant()
    def time_never_falls_from_row_to_row(self) -> None:
        times = [row.at_ms for row in self.driver.rows() if hasattr(row, "at_ms")]
        assert times == sorted(times)

    @invariant()
    def depth_is_a_count(self) -> None:
        table = self.driver.shard.table
        states: Counter[TaskState] = Counter()
        for task in table.every():
            states[task.state] += task.count
        assert table.retained == sum(states[state] for state in FINAL_STATES)
        depth = table.depth.get("kind")
        counted = (depth.queued, depth.running, depth.retrying) if depth else (0, 0, 0)
        assert counted == tuple(
            states[state] for state in (TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING)
        )

    @invariant()
    def dead_letters_are_those_that_failed_and_were_not_purged(self) -> None:
        table = self.driver.shard.table
        expected = [
            task.task_id for task in table.finished if task.state in DEAD_LETTER_STATES and not task.is_purged
        ]
        assert list(table.dead_letters) == expected
        assert {task.task_id for task in table.finished} == {
            task.task_id for task in table.every() if task.state in FINAL_STATES
        }

    @invariant()
    def tasks_stand_in_their_order(self) -> None:
        """One that holds several takes as many places."""
        tasks = list(self.driver.shard.table.newest_first())[::-1]
        assert all(
            task.order + max(1, task.submission.items) <= after.order for task, after in pairwise(tasks)
        )

    @invariant()
    def lanes_and_timers_hold_each_waiting_task_once(self) -> None:
        shard = self.driver.shard
        held = sorted(task.task_id for task in shard.waiting.of_kind("kind"))
        assert held == sorted(task.task_id for task in shard.table.every() if is_waiting(task))

    @invariant()
    def nothing_is_undecided_when_all_is_appended(self) -> None:
        assert self.driver.shard.undecided_bytes == 0

    @invariant()
    def held_bytes_are_those_of_tasks_that_have_not_ended(self) -> None:
        for table in (self.driver.shard.table, self.driver.replayed()):
            held = sum(
                len(task.submission.payload) for task in table.every() if task.state not in FINAL_STATES
            )
            assert table.held_bytes == held

    @invariant()
    def steps_are_bounded(self) -> None:
        assert all(len(frame) < self.config.step_bytes + 1_000 for frame in self.driver.frames)

    def teardown(self) -> None:
        """Heal, and demand liveness: with one willing host every task that was accepted ends, once."""
        driver = self.driver
        driver.now_ms = driver.shard.advance(driver.now_ms)  # a clock that stepped back has come round
        self.pause(False)
        self.limit(None)
        for _ in range(600):
            for host in HOSTS:
                self._deliver(host)
                self._report(host, 5)
                self._deliver(host)
                outcomes = [
                    Outcome(
                        lease,
                        grant.task_id,
                        OutcomeStatus.SUCCEEDED,
                        join([b"\x01"] * grant.items, grant.items) if grant.items else b"done",
                    )
                    for lease, grant in self.held[host].items()
                ]
                driver.shard.outcomes(Outcomes(host, self.incarnations[host], outcomes), driver.now_ms)
                driver.settle()
            driver.wait(1_000)
            if all(task.state in FINAL_STATES and not task.lease for task in driver.shard.table.every()):
                break
        stuck = [task for task in driver.shard.table.every() if task.state not in FINAL_STATES]
        assert not stuck, msgspec.to_builtins(stuck[:3])
        assert_each_success_is_committed_once(driver.rows())


def outcome_of(grant: Grant, status: OutcomeStatus, data: st.DataObject) -> Outcome:
    """What a host says of it; of an envelope that was opened some items are done, some failed, some were left, and
    now and then that account is nonsense."""
    failure = None if status is OutcomeStatus.SUCCEEDED else TaskFailure("E", "e" * 50)
    value, opened = b"v%d" % grant.lease, None
    if grant.items and status is OutcomeStatus.SUCCEEDED:
        value = join([b"\x01"] * grant.items, grant.items)
    elif status is OutcomeStatus.OPENED:
        fates = data.draw(st.lists(st.sampled_from("dfl"), min_size=grant.items, max_size=grant.items + 1))
        done = [index for index, fate in enumerate(fates) if fate == "d"]
        failed = [
            ItemFailure(index, data.draw(st.sampled_from(FAILURES)), TaskFailure("E", "item"))
            for index, fate in enumerate(fates)
            if fate == "f"
        ]
        value, opened = join([b"\x02"] * len(done), len(done)), OpenedItems(done, failed)
    return Outcome(grant.lease, grant.task_id, status, value, failure, opened=opened)


def assert_each_success_is_committed_once(rows: list[Row]) -> None:
    leases = [lease for row in rows if isinstance(row, Succeeded) for lease in row.leases]
    assert len(set(leases)) == len(leases)
    opened = [row.task_id for row in rows if isinstance(row, Opened)]
    assert len(set(opened)) == len(opened)


class ParkingMachine(ShardMachine):
    """The same where all that waits is parked, if its kind has more than two that wait or it is delayed."""

    config = replace(CONFIG, parking=Parking(delay_ms=0, waiting=2))


TestShardMachine = ShardMachine.TestCase
TestShardMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestParkingMachine = ParkingMachine.TestCase
TestParkingMachine.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


def test_submissions_in_one_message_that_repeat_an_id_are_one_task() -> None:
    driver = ShardDriver()
    driver.submit("a", "a")
    assert list(driver.shard.table.tasks) == ["a"]
    assert submission("a").kind == "kind"
