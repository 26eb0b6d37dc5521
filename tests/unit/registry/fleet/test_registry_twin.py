"""The registry against a dictionary of agents: whatever happens, both say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.agent_class import AgentClasses
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.columns import COLUMN_TYPES
from ohmesh.registry.fleet.liveness import (
    Transitions,
)
from ohmesh.registry.fleet.registry import FleetRegistry
from tests.unit.registry.fleet.fleets import START_MS, beats, joining, work
from tests.unit.registry.fleet.twin import Agent, Beat, Twin

PLACES = 8
SHAPE = Topology(sectors=1, clusters=2, agents=4)
CLASSES = AgentClasses()
HOSTS = ("box-1", "box-2")
CAPABILITIES = ("ocr", "asr")
TASKS = ("", "t1", "t2", "t3")
SOME = st.sets(st.integers(0, PLACES - 1), min_size=1).map(sorted)
OPERATIONS = st.one_of(
    st.tuples(
        st.just("insert"),
        SOME,
        st.sampled_from(HOSTS),
        st.integers(0, 5),
        st.sampled_from(HEARTBEAT_PROFILES).map(lambda one: one.name),
        st.sets(st.sampled_from(CAPABILITIES)),
        st.booleans(),
    ),
    st.tuples(
        st.just("heartbeat"),
        SOME,
        st.sampled_from(HOSTS),
        st.integers(-3, 3),
        st.integers(1, 900),
        st.sampled_from(TASKS),
        st.sampled_from(Liveness),
        st.sampled_from(Duty),
    ),
    st.tuples(st.just("wait"), st.integers(0, 12_000)),
    st.tuples(st.sampled_from(("leave", "give_up", "remove")), SOME),
    st.tuples(st.just("duty"), SOME, st.sampled_from(Duty)),
    st.tuples(st.just("capability"), SOME, st.sampled_from(CAPABILITIES), st.booleans()),
)


class Comparison:
    """Both are told the same, and asked the same."""

    def __init__(self) -> None:
        self.registry = FleetRegistry(SHAPE)
        self.twin = Twin([one.base_ms for one in CLASSES.all], [one.capabilities for one in CLASSES.all])
        self.now_ms = START_MS

    def insert(self, rows: list[int], host: str, code: int, *how: object) -> None:
        profile, capabilities, has_names = how
        assert isinstance(profile, str)
        assert isinstance(capabilities, set)
        taken = [
            self.twin.insert(row, Agent(host, code, profile, self.now_ms, capabilities=set(capabilities)))
            for row in rows
        ]
        names = {row: f"{host}-{row}" for row in rows} if has_names else {}
        refused = self.registry.insert(
            joining(
                np.array(rows),
                host=host,
                at_ms=self.now_ms,
                profile=profile,
                class_codes=np.full(len(rows), code),
                capability_sets=[tuple(capabilities)],
                set_of=np.zeros(len(rows), np.uint8),
                names=names,
            )
        )
        assert refused.tolist() == [row for row, is_taken in zip(rows, taken, strict=True) if not is_taken]
        for row, is_taken in zip(rows, taken, strict=True):
            if is_taken:
                self.twin.agents[row].name = names.get(row, "")

    def heartbeat(self, rows: list[int], host: str, lag_s: int, lead_ms: int, *said: object) -> None:
        task, liveness, duty = said
        assert isinstance(task, str)
        assert isinstance(liveness, Liveness)
        assert isinstance(duty, Duty)
        at_ms = self.now_ms - 1_000 * lag_s
        heard = self.registry.heartbeat(
            host,
            at_ms,
            beats(
                np.array(rows),
                work(("other", *TASKS[1:]), [TASKS.index(task) + bool(task)] * len(rows), [0] * len(rows)),
                topology=SHAPE,
                rtt_ms=0,
                processing_ms=lead_ms,
                drift=np.nan,
                liveness=LIVENESS_CODES.index(liveness),
                duty=DUTY_CODES.index(duty),
            ),
        )
        beat = Beat(at_ms, lead_ms, task, liveness.value, duty)
        answers = {row: self.twin.heartbeat(row, host, beat) for row in rows}
        assert heard.refused.tolist() == [row for row in rows if answers[row] == "refused"]
        assert heard.late.tolist() == [row for row in rows if answers[row] == "late"]
        assert moves(heard.transitions) == {
            row: (before, liveness.value)
            for row, before in answers.items()
            if before not in (liveness.value, "refused", "late")
        }

    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        assert moves(self.registry.sweep(self.now_ms)) == self.twin.sweep(self.now_ms)

    def leave(self, rows: list[int]) -> None:
        self.registry.leave(np.array(rows))
        self._become(rows, "left")

    def give_up(self, rows: list[int]) -> None:
        self.registry.give_up(np.array(rows))
        self._become([row for row in rows if self._liveness(row) != "left"], "offline")

    def remove(self, rows: list[int]) -> None:
        self.registry.remove(np.array(rows))
        for row in rows:
            self.twin.agents.pop(row, None)

    def duty(self, rows: list[int], duty: Duty) -> None:
        self.registry.set_duty(np.array(rows), duty)
        for row in rows:
            if row in self.twin.agents and self._liveness(row) != "left":
                self.twin.agents[row].imposed = duty

    def capability(self, rows: list[int], name: str, is_granted: bool) -> None:
        self.registry.set_capabilities(
            np.array(rows), grant=[name] * is_granted, revoke=[name] * (not is_granted)
        )
        for row in rows:
            if row in self.twin.agents:
                held = self.twin.agents[row].capabilities
                (held.add if is_granted else held.discard)(name)

    def check(self) -> None:
        columns = self.registry.columns
        for row in range(PLACES):
            agent = self.twin.agents.get(row)
            assert self.registry.name_of(row) == (agent.name if agent else "")
            if agent is None:
                assert not any(getattr(columns, name)[row] for name in COLUMN_TYPES if name != "version")
                continue
            held = self.registry.capabilities.names_of(row, columns.capabilities)
            assert set(held) == agent.capabilities
            assert LIVENESS_CODES[columns.liveness[row] - 1] == agent.liveness
            assert tuple(Duty)[columns.duty[row]] == agent.duty
            assert self.registry.hosts.texts[columns.host[row]] == agent.host
            assert self.registry.words.texts[columns.task[row]] == agent.task
            assert columns.heartbeat_ms[row] == agent.heartbeat_ms
            assert columns.lead_ms[row] == pytest.approx(agent.lead_ms, rel=1e-6)
            assert columns.average_ms[row] == pytest.approx(agent.average_ms, rel=1e-5)
        named = {agent.name: row for row, agent in self.twin.agents.items() if agent.name}
        assert dict(self.registry.rows_by_name) == named

    def _liveness(self, row: int) -> str:
        return self.twin.agents[row].liveness if row in self.twin.agents else ""

    def _become(self, rows: list[int], liveness: str) -> None:
        for row in rows:
            if row in self.twin.agents:
                self.twin.agents[row].liveness = liveness


def moves(transitions: Transitions) -> dict[int, tuple[str, str]]:
    return {
        row: (LIVENESS_CODES[before - 1].value, LIVENESS_CODES[after - 1].value)
        for row, before, after in zip(*(column.tolist() for column in transitions), strict=True)
    }


@given(st.lists(OPERATIONS, max_size=25))
def test_whatever_happens_the_columns_say_what_a_dictionary_of_agents_says(
    operations: list[tuple[object, ...]],
) -> None:
    both = Comparison()
    for name, *arguments in operations:
        version = both.registry.version
        getattr(both, str(name))(*arguments)
        both.check()
        assert both.registry.version >= version
