"""A simulated group of servers with clients and disasters, and what must hold at every step.

Checked: one leader a term; what is applied at an index is the same everywhere (state machine safety); a new leader has
all that was ever applied (leader completeness); logs agree where a term agrees (log matching, at the end); the
clients' history is linearizable; and once everything is healed, work is done again within ten election timeouts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from msgspec import structs

from ohmesh.protocols.consensus.raft.messages import Entry
from ohmesh.protocols.consensus.raft.rules import Rules
from ohmesh.simulator.linearizability import NEVER, Act, Call, is_linearizable
from ohmesh.simulator.machines import MachineWorld, Network, NetworkFaults, draw_network_faults
from tests.simulation.raft.server import SETTINGS, Command, Outcome, Server

CALL_TIMEOUT_MS = 400.0
KEYS = 4
COUNTED = ("elections", "crashes", "pauses", "partitions", "changes", "handovers")
RECOVERY_MS = 10 * SETTINGS.election_timeout_ms


class SafetyBroken(AssertionError):
    """What Raft promises did not hold; the message says which promise and where."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What may befall a group, drawn from its seed. Times in ms; weights by disaster.

    leaders_die: in their first moments, when some have heard of them and some have not. leaders_cut: off, with a few,
    before they have said a word. voters_die: right after they voted, and are back at once. turns_die: at a turn: the
    first commit of a term, a snapshot just restored, a leader that is being left out.
    """

    size: int
    gap: tuple[float, float]
    away: tuple[float, float]
    appends: int
    entries: int
    leaders_die: float
    leaders_cut: float
    voters_die: float
    turns_die: float
    weights: dict[str, int]


DISASTERS = ("crash", "crash_all", "pause", "part", "change", "hand_over")


def draw_plan(rng: random.Random, emphasis: int) -> Plan:
    """A swarm: each disaster is on or off for a whole run. Of three runs one is about leaders that come and go in one
    group, and one about members that change."""
    plan = Plan(
        size=rng.choice((3, 5)),
        gap=(20.0, rng.choice((60.0, 200.0, 600.0))),
        away=(1.0, rng.choice((30.0, 200.0, 800.0))),
        appends=rng.choice((1, 64)),
        entries=rng.choice((1, 512)),
        leaders_die=rng.choice((0.0, 0.6)),
        leaders_cut=rng.choice((0.0, 0.5)),
        voters_die=rng.choice((0.0, 0.0, 0.5)),
        turns_die=rng.choice((0.0, 0.4)),
        weights={disaster: rng.choice((0, 0, 1)) for disaster in DISASTERS},
    )
    if emphasis == 1:
        weights = {**dict.fromkeys(DISASTERS, 0), "crash": rng.choice((0, 1))}
        return replace(
            plan, size=5, entries=1, away=(50.0, 400.0), leaders_die=0.0, leaders_cut=rng.uniform(0.3, 0.8),
            voters_die=0.0, turns_die=0.6, weights=weights,
        )  # fmt: skip
    if emphasis == 2:
        weights = {**dict.fromkeys(DISASTERS, 0), "change": 3, "crash": 1}
        return replace(plan, gap=(20.0, 120.0), voters_die=0.0, weights=weights)
    return plan


class Group:
    """server: the class of servers, so that planted bugs are subclasses."""

    def __init__(self, seed: int, *, server: type[Server] = Server, rules: Rules | None = None) -> None:
        self.world = MachineWorld(seed)
        rng = self.rng = self.world.rng
        self.network = Network(self.world, draw_network_faults(rng))
        self.plan = plan = draw_plan(rng, seed % 3)
        self.names = [f"m{number}" for number in range(plan.size + 2)]
        voters = tuple(self.names[: plan.size])
        self.servers = {name: server(name, self.world, self.network, voters) for name in self.names}
        settings = replace(SETTINGS, unanswered_appends=plan.appends, entries_per_append=plan.entries)
        self.history: list[Call] = []
        self.counted = dict.fromkeys((*COUNTED, "answers"), 0)
        self._leaders: dict[int, str] = {}
        self._judged: set[tuple[int, int]] = set()
        self._applied: dict[int, tuple[int, Entry]] = {}  # with the term it was known to be committed in
        self._command = self._clients = 0
        self._open: dict[int, Call] = {}
        self._is_healed = False
        self._wishes: list[Callable[[Server], None]] = []
        self._committed_terms: set[int] = set()
        self._votes: set[tuple[str, int]] = set()
        for each in self.servers.values():
            each.peers, each.settings, each.rules = self.servers, settings, rules or Rules()
            each.sync_ms, each.compact_every = rng.choice((1.0, 5.0, 50.0)), rng.choice((2, 12))
            each.on_apply, each.on_event = self._check_apply, self._check_event
            each.on_restore = self._turn
        for each in self.servers.values():
            each.start()

    def run(self, faults_ms: float = 3000.0) -> None:
        """Disasters, then peace; then all must work and agree."""
        for _ in range(self.rng.randint(2, 5)):
            self._begin_client()
        self._plan_disasters(faults_ms)
        self.world.run(faults_ms)
        self.heal()
        healed_ms = self.world.now_ms
        answered = self.counted["answers"]
        if not self.world.run(healed_ms + RECOVERY_MS, lambda: self.counted["answers"] >= answered + 5):
            raise SafetyBroken(f"no work was done within {RECOVERY_MS} ms after everything was healed")
        self._stop_clients()
        if not self.world.run(self.world.now_ms + RECOVERY_MS, self._agree):
            raise SafetyBroken("the members did not come to agree after everything was healed")
        self._check_logs()
        history = [*self.history, *self._open.values()]
        for key in sorted({call.key for call in history}):
            calls = [call for call in history if call.key == key]
            if not is_linearizable(calls):
                raise SafetyBroken(f"the calls of {key} are not linearizable: {shortest_failing(calls)}")

    # -- clients

    def _begin_client(self) -> None:
        self._clients += 1
        self.world.after(
            self.rng.uniform(0, 50), partial(self._call, self._clients, self.rng.choice(self.names))
        )

    def _call(self, client: int, server: str) -> None:
        if client > self._clients:
            return
        self._command += 1
        act = self.rng.choice((Act.READ, Act.WRITE, Act.SWAP))
        key, value = f"k{self.rng.randrange(KEYS)}", None if act is Act.READ else self.rng.randrange(1, 4)
        expected = self.rng.choice((None, 1, 2, 3)) if act is Act.SWAP else None
        command = Command(self._command, key, act, value, expected)
        called = self.world.now_ms
        self._open[command.id] = Call(key, act, called, value, NEVER, expected)

        def end(outcome: Outcome, next_server: str) -> None:
            if self._open.pop(command.id, None) is None:
                return
            returned = NEVER if outcome.is_lost else self.world.now_ms
            seen = outcome.value if act is Act.READ else value
            self.history.append(Call(key, act, called, seen, returned, expected, outcome.is_done))
            self.counted["answers"] += not outcome.is_lost
            self.world.after(self.rng.uniform(0, 20), partial(self._call, client, next_server))

        def refuse(leader: str) -> None:
            if self._open.pop(command.id, None) is not None:  # it never began: no part of the history
                to = (
                    leader
                    if leader in self.servers and self.rng.random() < 0.8
                    else self.rng.choice(self.names)
                )
                self.world.after(self.rng.uniform(5, 30), partial(self._call, client, to))

        answer = lambda outcome: end(outcome, server)  # noqa: E731
        self.world.after(self.rng.uniform(0, 3), lambda: self.servers[server].ask(command, answer, refuse))
        self.world.after(CALL_TIMEOUT_MS, lambda: end(Outcome(is_lost=True), self.rng.choice(self.names)))

    def _stop_clients(self) -> None:
        self._clients = 0

    # -- disasters

    def _plan_disasters(self, until_ms: float) -> None:
        acts = {
            "crash": self._crash,
            "crash_all": self._crash_all,
            "pause": self._pause,
            "part": self._part,
            "change": self._change,
            "hand_over": self._hand_over,
        }
        at_ms = self.rng.uniform(50, 400)
        while at_ms < until_ms and any(self.plan.weights.values()):
            name = self.rng.choices(list(acts), list(self.plan.weights.values()))[0]
            self.world.at(at_ms, acts[name])
            at_ms += self.rng.uniform(*self.plan.gap)

    def _someone(self) -> Server:
        """Whoever leads, as often as not."""
        leaders = [each for each in self.servers.values() if each.leads]
        return self.rng.choice(
            leaders if leaders and self.rng.random() < 0.5 else list(self.servers.values())
        )

    def _crash(self) -> None:
        self._crash_one(self._someone())

    def _crash_all(self) -> None:
        for each in self.servers.values():
            self._crash_one(each)

    def _crash_one(self, server: Server, *, away_ms: float = 0.0) -> None:
        if server.is_up and not self._is_healed:
            self.counted["crashes"] += 1
            server.crash()
            self.world.after(away_ms or self.rng.uniform(*self.plan.away), partial(self._restart, server))

    def _restart(self, server: Server) -> None:
        if not server.is_up:
            server.start()

    def _pause(self) -> None:
        server = self._someone()
        if server.is_up and not server.is_paused:
            self.counted["pauses"] += 1
            server.pause()
            self.world.after(self.rng.uniform(*self.plan.away), server.resume)

    def _part(self) -> None:
        self.counted["partitions"] += 1
        some = self.rng.sample(self.names, self.rng.randint(1, len(self.names) - 1))
        rest = [name for name in self.names if name not in some]
        self.network.part(some, rest, both_ways=self.rng.random() < 0.7)
        self.world.after(self.rng.uniform(*self.plan.away), self.network.heal)

    def _turn(self, server: Server) -> None:
        if self.rng.random() < self.plan.turns_die:
            self.world.after(
                self.rng.choice((0.0, self.rng.uniform(0, 20))), partial(self._crash_one, server)
            )

    def _cut_off(self, server: Server) -> None:
        others = [name for name in self.names if name != server.id]
        companions = self.rng.sample(others, self.rng.choice((0, 0, 1, 2)))
        rest = [name for name in others if name not in companions]
        self.network.part([server.id, *companions], rest, both_ways=self.rng.random() < 0.5)
        self.world.after(self.rng.uniform(*self.plan.away), self.network.heal)

    def _change(self) -> None:
        """As soon as somebody leads who may: members change, and often the new ones are cut off from the old."""
        self._wishes.append(self._change_now)

    def _change_now(self, server: Server) -> None:
        if not server.rules.may_change(server.raft.log):
            self._wishes.append(self._change_now)
            return
        members = self.rng.sample(self.names, len(self.names))
        voters = self.rng.randint(2, 4)
        self.counted["changes"] += 1
        server.raft.change(members[:voters], members[voters : voters + self.rng.randint(0, 2)])
        if self.rng.random() < 0.5:
            self.network.part(members[:voters], members[voters:])
            self.world.after(self.rng.uniform(*self.plan.away), self.network.heal)
        if self.rng.random() < 0.5:
            self.world.after(self.rng.uniform(0, 60), partial(self._crash_one, server))

    def _hand_over(self) -> None:
        self._wishes.append(self._hand_over_now)

    def _hand_over_now(self, server: Server) -> None:
        configuration = server.rules.in_force(server.raft.log)
        heirs = [each for each in configuration.voters if each != server.id]
        if heirs and not configuration.is_joint:
            self.counted["handovers"] += 1
            server.raft.hand_over(self.rng.choice(heirs), int(self.world.now_ms))

    def heal(self) -> None:
        self._is_healed = True
        self.plan = replace(self.plan, leaders_die=0.0, voters_die=0.0, leaders_cut=0.0, turns_die=0.0)
        self._wishes.clear()
        self.network.heal()
        self.network.faults = NetworkFaults(delay_ms=(1.0, 5.0))
        for server in self.servers.values():
            server.sync_ms = 5.0
            server.resume()
            self._restart(server)

    # -- promises

    def _check_event(self, server: Server) -> None:
        raft, log = server.raft, server.raft.log
        if server.is_new and any(
            earlier.term > later.term
            for earlier, later in pairwise(log.slice(log.snapshot.index, log.last_index))
        ):
            raise SafetyBroken(f"terms fall along the log that {server.id} starts with")
        server.is_new = False
        vote = raft.vote
        if vote not in ("", server.id) and (server.id, raft.term) not in self._votes:
            self._votes.add((server.id, raft.term))
            if self.rng.random() < self.plan.voters_die:
                self.world.after(
                    self.rng.uniform(0, 1.5 * server.sync_ms), partial(self._crash_one, server, away_ms=1.0)
                )
        if not server.leads:
            return
        if self._wishes and not server.is_paused:
            self._wishes.pop()(server)
        if not raft.log.configuration.has_voter(server.id):
            self._turn(server)
        known = self._leaders.setdefault(raft.term, server.id)
        if known != server.id:
            raise SafetyBroken(f"{known} and {server.id} both lead term {raft.term}")
        if (raft.term, server.life) in self._judged:
            return
        self._judged.add((raft.term, server.life))
        if self.rng.random() < self.plan.leaders_cut:
            self._cut_off(server)
        if self.rng.random() < self.plan.leaders_die:
            self.world.after(self.rng.uniform(0, 20), partial(self._crash_one, server))
        self.counted["elections"] += 1
        for index, (term, entry) in self._applied.items():
            is_due = term < raft.term and index >= raft.log.first_index
            if is_due and raft.log.term_at(index) != entry.term:
                raise SafetyBroken(f"{server.id} leads term {raft.term} without the applied entry {index}")

    def _check_apply(self, server: Server, index: int, entry: Entry) -> None:
        if server.leads and server.raft.term not in self._committed_terms:
            self._committed_terms.add(server.raft.term)
            self._turn(server)
        _, first = self._applied.setdefault(index, (server.raft.term, entry))
        if first != entry:
            raise SafetyBroken(f"{server.id} applied {entry} at {index}, where another applied {first}")

    def _agree(self) -> bool:
        leaders = [each for each in self.servers.values() if each.leads]
        if not leaders:
            return False
        leader = max(leaders, key=lambda each: each.raft.term)
        log = leader.raft.log
        members = [self.servers[name] for name in log.configuration.everybody]
        return not log.configuration.is_joint and all(
            each.applied == log.last_index and each.registers == leader.registers for each in members
        )

    def _check_logs(self) -> None:
        for one in self.servers.values():
            for other in self.servers.values():
                _check_matching(one, other)


def _check_matching(one: Server, other: Server) -> None:
    low = max(one.raft.log.first_index, other.raft.log.first_index)
    high = min(one.raft.log.last_index, other.raft.log.last_index)
    agrees = False
    for index in range(high, low - 1, -1):
        same_term = one.raft.log.term_at(index) == other.raft.log.term_at(index)
        if agrees and not same_term:
            raise SafetyBroken(f"logs of {one.id} and {other.id} agree behind {index} and not there")
        agrees = agrees or same_term


def shortest_failing(calls: list[Call]) -> list[Call]:
    """The shortest beginning of a history that cannot be explained; what had not ended by then is open."""
    for end in sorted(call.returned for call in calls if call.returned < NEVER):
        begun = [call for call in calls if call.called <= end]
        known = [call if call.returned <= end else structs.replace(call, returned=NEVER) for call in begun]
        if not is_linearizable(known):
            return known
    return calls
