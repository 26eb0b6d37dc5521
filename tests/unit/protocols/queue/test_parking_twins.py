"""Parked or not is representation only: two shards, one that parks all it may and one that parks nothing, hear the same
and do the same, byte for byte: rows, what is told, pages, explanations, snapshots.

Lanes and timers of both are compared too, by what comes out of them; and each loads the snapshots of the other. A
snapshot that is taken in slices while they go on is, byte for byte, the one that was due when it was begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ohmesh.model.agent import AgentSpec
from ohmesh.model.envelope import item_id, join
from ohmesh.model.explanation import Explain
from ohmesh.model.limit import KindLimit
from ohmesh.model.message import ChangeTasks, LimitKind, ListTasks, Outcomes, PauseKind, TaskChange, TaskPage
from ohmesh.model.schedule import ChangeSchedule, Schedule, ScheduleChange, SetSchedule
from ohmesh.model.task import Outcome, OutcomeStatus, TaskFailure, TaskState
from ohmesh.protocols.queue import dead_letters, limiting, pausing, scheduling
from ohmesh.protocols.queue.frozen_table import FrozenTable
from ohmesh.protocols.queue.parked import Parking
from ohmesh.protocols.queue.queries import Sieve, answer, list_tasks
from ohmesh.protocols.queue.shard import ShardConfig
from ohmesh.protocols.queue.snapshot import decode_snapshot, encode_snapshot
from ohmesh.protocols.queue.snapshot_form import head
from tests.unit.protocols.queue.shard_driver import ShardDriver

NEVER = Parking(delay_ms=10**15, waiting=10**15)
ALWAYS = Parking(delay_ms=0, waiting=0)
CONFIG = ShardConfig(
    step_bytes=900, retention_ms=60_000, retained_tasks=40, horizon_ms=120_000, held_bytes=2_000, losses=5
)
KINDS = ("kind", "other")
HOSTS = {"h1": (), "h2": ("gpu",)}

Answer = TypeVar("Answer")


class Twins(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.plain = ShardDriver(replace(CONFIG, parking=NEVER))
        self.packed = ShardDriver(replace(CONFIG, parking=ALWAYS))
        self.counter = 0
        self.compared = 0
        self.unfinished: list[Unfinished] = []
        self.heartbeat("h1", 2)

    def both(self, act: Callable[[ShardDriver], Answer]) -> Answer:
        plain, packed = act(self.plain), act(self.packed)
        assert plain == packed
        return plain

    def decide(self, act: Callable[[ShardDriver], Answer]) -> Answer:
        def settled(driver: ShardDriver) -> Answer:
            given = act(driver)
            driver.settle()
            return given

        return self.both(settled)

    def names(self) -> list[str]:
        return self.plain.heard.accepted

    @rule(
        count=st.integers(1, 6),
        kind=st.sampled_from(KINDS),
        priority=st.integers(0, 3),
        delay_ms=st.sampled_from([0, 0, 300, 20_000, 40_000, 100_000]),
        requires=st.sampled_from([(), (), ("gpu",)]),
    )
    def submit(self, count: int, kind: str, priority: int, delay_ms: int, requires: tuple[str, ...]) -> None:
        names = [f"t{self.counter + n}" for n in range(count)]
        self.counter += count
        due_ms = self.plain.now_ms + delay_ms if delay_ms else 0
        self.both(
            lambda driver: driver.submit(
                *names, kind=kind, priority=priority, due_ms=due_ms, requires=requires
            )
        )

    @rule(items=st.integers(1, 5), delay_ms=st.sampled_from([0, 0, 40_000]))
    def submit_envelope(self, items: int, delay_ms: int) -> None:
        name = f"e{self.counter}"
        self.counter += 1
        payload = join([b"\xc4\x01%d" % item for item in range(items)], items)
        due_ms = self.plain.now_ms + delay_ms if delay_ms else 0
        self.both(lambda driver: driver.submit(name, payload=payload, items=items, due_ms=due_ms))

    @rule(key=st.sampled_from("ab"), delay_ms=st.sampled_from([0, 40_000]))
    def submit_unique(self, key: str, delay_ms: int) -> None:
        name = f"u{self.counter}"
        self.counter += 1
        due_ms = self.plain.now_ms + delay_ms if delay_ms else 0
        self.both(lambda driver: driver.submit(name, unique=key, due_ms=due_ms, client="another"))

    @rule(data=st.data(), client=st.sampled_from(["client", "another", "third"]))
    def watch_or_submit_again(self, data: st.DataObject, client: str) -> None:
        if not self.names():
            return
        name = data.draw(st.sampled_from(self.names()))
        if data.draw(st.booleans()) and not name.startswith("e"):
            self.both(lambda driver: driver.submit(name, client=client))
        else:
            self.both(lambda driver: driver.watch(name, item_id(name, 0), client=client))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.names():
            chosen = data.draw(st.lists(st.sampled_from(self.names()), min_size=1, max_size=5))
            chosen = [item_id(name, 1) if name.startswith("e") else name for name in chosen]
            self.both(lambda driver: driver.cancel(*chosen))

    @rule(host=st.sampled_from(list(HOSTS)), slots=st.integers(0, 3))
    def heartbeat(self, host: str, slots: int) -> None:
        specs = [AgentSpec(f"{host}/{kind}", kind, HOSTS[host], slots) for kind in KINDS]
        held = [
            lease
            for lease, task in self.plain.shard.table.leases.items()
            if task.agent.startswith(f"{host}/")
        ]
        self.both(
            lambda driver: driver.report(
                host,
                specs=specs,
                held=held,
                number=driver.heard.numbers.get(host, 0),
                takes_envelopes=host == "h2",
            )
        )

    @rule(
        data=st.data(),
        status=st.sampled_from([*OutcomeStatus]),
        retry_after_ms=st.sampled_from([-1, 0, 5_000, 90_000]),
    )
    def outcome(self, data: st.DataObject, status: OutcomeStatus, retry_after_ms: int) -> None:
        leases = self.plain.shard.table.leases
        if not leases:
            return
        task = leases[data.draw(st.sampled_from(sorted(leases)))]
        items = task.submission.items
        value = join([b"\x01"] * items, items) if items else b"value"
        failure = TaskFailure("E", "e") if status is not OutcomeStatus.SUCCEEDED else None
        outcome = Outcome(task.lease, task.task_id, status, value, failure, retry_after_ms=retry_after_ms)
        host = task.agent.partition("/")[0]
        self.decide(lambda driver: driver.shard.outcomes(Outcomes(host, 1, [outcome]), driver.now_ms))

    @rule(
        data=st.data(),
        change=st.sampled_from([*TaskChange]),
        everything=st.booleans(),
        kind=st.sampled_from(["", *KINDS]),
    )
    def change_tasks(self, data: st.DataObject, change: TaskChange, everything: bool, kind: str) -> None:
        everything = everything and change is not TaskChange.RETRY
        names = self.names()
        ids = [] if everything or not names else data.draw(st.lists(st.sampled_from(names), max_size=4))
        wish = ChangeTasks(change, f"wish {len(self.plain.frames) // 3}", ids, everything, kind)
        self.decide(lambda driver: dead_letters.change_tasks(driver.shard, wish, driver.now_ms))

    @rule(is_paused=st.booleans(), kind=st.sampled_from(KINDS))
    def pause(self, is_paused: bool, kind: str) -> None:
        wish = PauseKind(kind, is_paused)
        self.decide(lambda driver: pausing.pause(driver.shard, wish, driver.now_ms))

    @rule(limit=st.sampled_from([None, KindLimit(concurrency=1), KindLimit(5, 1_000, 3, 0)]))
    def limit(self, limit: KindLimit | None) -> None:
        self.decide(lambda driver: limiting.limit_kind(driver.shard, LimitKind("kind", limit), driver.now_ms))

    @rule(change=st.sampled_from([None, ScheduleChange.RUN, ScheduleChange.REMOVE]))
    def schedule(self, change: ScheduleChange | None) -> None:
        if change is None:
            wish = SetSchedule(Schedule("beat", "kind", b"beat", every_ms=30_000), True)
            self.decide(lambda driver: scheduling.set_schedule(driver.shard, wish, driver.now_ms))
        else:
            name = f"wish {self.counter}"
            changed = ChangeSchedule("beat", change, name)
            self.decide(lambda driver: scheduling.change_schedule(driver.shard, changed, driver.now_ms))

    @rule(duration_ms=st.sampled_from([10, 400, 11_000, 33_000, 70_000]))
    def time_passes(self, duration_ms: int) -> None:
        self.both(lambda driver: driver.wait(duration_ms))

    @rule()
    def a_successor_replays(self) -> None:
        self.both(lambda driver: driver.take_over())

    @rule()
    def each_loads_the_snapshot_of_the_other(self) -> None:
        data = encode_snapshot(self.packed.shard.table, 7, b"digest")
        for driver in (self.plain, self.packed):
            driver.take_over(decode_snapshot(data, driver.config.parking)[0])

    @rule(slice_tasks=st.integers(1, 4))
    def a_snapshot_is_begun(self, slice_tasks: int) -> None:
        """The tables of both are frozen, unless they are already."""
        if not self.unfinished:
            self.unfinished = [Unfinished(driver, slice_tasks) for driver in (self.plain, self.packed)]

    @rule()
    def a_slice_of_it_is_taken(self) -> None:
        going_on = [each.goes_on() for each in self.unfinished]
        if not all(going_on):
            self.teardown()

    def teardown(self) -> None:
        """Whatever happened between its slices, it holds what was when it was begun."""
        for each in self.unfinished:
            while each.goes_on():
                pass
            assert head(each.frozen.header, 0, each.slices) == each.expected
            assert (each.frozen.kept, each.table.freezer) == (0, None)
        self.unfinished = []

    @rule(
        limit=st.integers(1, 8),
        kind=st.sampled_from(["", *KINDS, "no such"]),
        state=st.sampled_from(["", "", *TaskState, "dead_letter"]),
        is_sifted=st.booleans(),
    )
    def all_pages(self, limit: int, kind: str, state: str, is_sifted: bool) -> None:
        sieve = Sieve(lambda view: view.order % 3 != 0, 4) if is_sifted else None
        after, orders = "", []
        while True:
            page = self.page(ListTasks(kind=kind, state=state, limit=limit, after=after), sieve)
            orders += [view.order for view in page.tasks]
            after = page.after
            if not after:
                break
        assert orders == sorted(orders, reverse=True)

    def page(self, query: ListTasks, sieve: Sieve | None = None) -> TaskPage:
        return self.both(lambda driver: list_tasks(driver.shard, query, sieve))

    @rule(data=st.data())
    def tell_of_one(self, data: st.DataObject) -> None:
        if self.names():
            name = data.draw(st.sampled_from([*self.names(), item_id(self.names()[-1], 0)]))
            explain = Explain(name)
            self.both(lambda driver: answer(driver.shard, explain, driver.now_ms, 1))
            self.page(ListTasks(task_ids=[name], with_payload=True))

    @invariant()
    def they_decide_and_say_the_same(self) -> None:
        assert self.plain.frames[self.compared :] == self.packed.frames[self.compared :]
        self.compared = len(self.plain.frames)
        assert self.plain.steps == self.packed.steps
        self.plain.steps.clear()
        self.packed.steps.clear()

    @invariant()
    def they_hold_the_same(self) -> None:
        self.both(lambda driver: encode_snapshot(driver.shard.table, 0, b""))
        self.both(lambda driver: driver.shard.table.held_bytes)
        self.both(lambda driver: sorted(notes_of(driver).items()))

    @invariant()
    def the_same_waits_in_the_same_order(self) -> None:
        self.both(lambda driver: [list(driver.shard.waiting.of_kind(kind)) for kind in KINDS])
        self.both(lambda driver: [lanes_of(driver, kind) for kind in KINDS])

    @invariant()
    def one_parks_and_the_other_does_not(self) -> None:
        assert self.plain.shard.table.parked.count == 0
        table = self.packed.shard.table
        assert table.parked.count + len(table.tasks) == len(self.plain.shard.table.tasks)


class Unfinished:
    """A snapshot of which some slices are taken, and what it is to be."""

    def __init__(self, driver: ShardDriver, slice_tasks: int) -> None:
        self.table = driver.shard.table
        self.expected = head_of(FrozenTable(self.table, 7, b"digest", slice_tasks=slice_tasks))
        self.frozen = FrozenTable(self.table, 7, b"digest", slice_tasks=slice_tasks).freeze()
        self.to_come = self.frozen.slices()
        self.slices: list[bytes] = []

    def goes_on(self) -> bool:
        piece = next(self.to_come, None)
        self.slices += [piece] if piece is not None else []
        return piece is not None


def head_of(frozen: FrozenTable) -> bytes:
    return head(frozen.header, 0, frozen.slices())


def lanes_of(driver: ShardDriver, kind: str) -> dict[frozenset[str], int]:
    return {lane.requires: len(lane) for lane in driver.shard.waiting.lanes(kind)}


def notes_of(driver: ShardDriver) -> dict[str, object]:
    """Who is to hear of which task."""
    parked = driver.shard.table.parked
    noted = {parked.read(ref).task_id: parked.note(ref) for ref in parked.in_order() if parked.note(ref)}
    return {**noted, **driver.shard.interest}


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
