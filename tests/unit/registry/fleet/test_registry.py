"""The facts about the registry that users rely on, one by one; test_registry_twin.py tries everything else."""

from __future__ import annotations

import numpy as np
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.heartbeat import HEARTBEAT_PROFILES
from ohmesh.registry.fleet.columns import COLUMN_TYPES
from ohmesh.registry.fleet.impedance import flags
from ohmesh.registry.fleet.liveness import (
    ACTIVE,
    JOINING,
    LEFT,
    OFFLINE,
    SUSPECT,
    VACANT,
)
from ohmesh.registry.fleet.registry import FleetRegistry
from tests.unit.registry.fleet.fleets import HOST, SMALL, START_MS, beats, fleet, hear, joining, rows_of, work


@pytest.mark.parametrize("profile", HEARTBEAT_PROFILES, ids=lambda one: one.name)
def test_silence_makes_a_suspect_then_puts_it_offline_at_the_times_of_its_profile(profile: object) -> None:
    name, _, suspect_ms, dead_ms = (
        getattr(profile, one) for one in ("name", "every_ms", "suspect_ms", "dead_ms")
    )
    registry = fleet(profile=name)
    assert not len(registry.sweep(START_MS + suspect_ms - 1).rows)
    assert len(registry.sweep(START_MS + suspect_ms).into(SUSPECT)) == SMALL.size
    assert not len(registry.sweep(START_MS + dead_ms - 1).rows)
    hear(registry, rows_of(4), START_MS + dead_ms - 1)
    given_up = registry.sweep(START_MS + dead_ms)
    assert len(given_up.into(OFFLINE)) == SMALL.size - 1
    assert registry.columns.liveness[4] == ACTIVE


def test_who_has_just_joined_is_not_doubted_but_is_given_up() -> None:
    registry = FleetRegistry(SMALL)
    registry.insert(joining(rows_of(0)))
    assert not len(registry.sweep(START_MS + 29_999).rows)
    assert registry.sweep(START_MS + 30_000).into(OFFLINE).tolist() == [0]


def test_profiles_may_differ_in_one_fleet() -> None:
    registry = FleetRegistry(SMALL)
    registry.insert(joining(rows_of(0), profile="fast"))
    registry.insert(joining(rows_of(1)))
    assert registry.sweep(START_MS + 3_000).rows.tolist() == [0]


def test_a_host_hears_which_of_its_agents_are_to_join_again() -> None:
    registry = fleet()
    registry.leave(rows_of(1))
    registry.remove(rows_of(2))
    registry.remove(rows_of(3))
    registry.insert(joining(rows_of(3), host="box-2"))
    heard = hear(registry, rows_of(0, 1, 2, 3), START_MS + 1)
    assert heard.refused.tolist() == [1, 2, 3]
    assert registry.columns.liveness[:4].tolist() == [ACTIVE, LEFT, VACANT, JOINING]


def test_another_host_gets_no_place_that_is_held_and_the_place_of_one_that_is_offline() -> None:
    registry = fleet()
    registry.give_up(rows_of(1))
    taken = registry.insert(joining(rows_of(0, 1), host="box-2"))
    assert taken.tolist() == [0]
    assert registry.rows_of_host("box-2").tolist() == [1]
    assert 1 not in registry.rows_of_host(HOST)


def test_a_row_that_is_used_again_knows_nothing_of_who_was_there() -> None:
    registry = fleet(names={3: "Ada"})
    registry.set_capabilities(rows_of(3), grant=["ocr"])
    registry.set_duty(rows_of(3), Duty.QUARANTINED)
    hear(registry, rows_of(3), work=work(("t",), [1], [1]))
    registry.remove(rows_of(3))
    assert registry.vacant_rows().tolist() == [3]
    assert registry.vacant_rows(slice(3, 5)).tolist() == [3]
    registry.insert(joining(rows_of(3), host="box-2", class_codes=np.array([3])))
    fresh = FleetRegistry(SMALL)
    fresh.insert(joining(rows_of(3), host="box-2", class_codes=np.array([3])))
    for name in set(COLUMN_TYPES) - {"version", "host"}:
        assert getattr(registry.columns, name)[3] == getattr(fresh.columns, name)[3], name
    assert registry.capabilities.names_of(3, registry.columns.capabilities) == ("gpu",)
    assert registry.name_of(3) == ""


def test_agents_are_found_by_name_and_by_id() -> None:
    registry = fleet(names={7: "Ada"})
    assert registry.row_of("Ada") == 7
    assert registry.row_of("s000.c01.a02") == 7
    registry.rename(7, "Grace")
    assert registry.row_of("Grace") == 7
    with pytest.raises(InvalidArgument, match="not the id of an agent"):
        registry.row_of("Ada")
    registry.rename(7, "")
    assert not registry.rows_by_name
    registry.remove(rows_of(7))
    with pytest.raises(InvalidArgument, match=r"no agent s000\.c01\.a02"):
        registry.row_of("s000.c01.a02")
    with pytest.raises(InvalidArgument, match=r"no agent s000\.c01\.a02"):
        registry.rename(7, "Ada")


def test_a_name_belongs_to_one_agent() -> None:
    registry = fleet(names={7: "Ada"})
    with pytest.raises(InvalidArgument, match=r"'Ada' is the name of agent s000\.c01\.a02"):
        registry.rename(8, "Ada")
    version = registry.version
    with pytest.raises(InvalidArgument, match="name of agent"):
        registry.insert(joining(rows_of(8), names={8: "Ada"}))
    with pytest.raises(InvalidArgument, match="given one name"):
        registry.insert(joining(rows_of(8, 9), names={8: "B", 9: "B"}))
    assert registry.version == version
    registry.insert(
        joining(rows_of(7, 8), names={8: "Ada", 7: "Grace"})
    )  # its host starts anew, with other names
    assert dict(registry.rows_by_name) == {"Grace": 7, "Ada": 8}


def test_what_does_not_exist_is_refused_and_nothing_has_changed() -> None:
    registry = fleet()
    version = registry.version
    with pytest.raises(InvalidArgument, match="lie outside of this fleet"):
        registry.heartbeat(HOST, START_MS, beats(rows_of(30)))
    with pytest.raises(InvalidArgument, match="Row 30 lies outside this fleet of 30 places"):
        registry.insert(joining(rows_of(29, 30)))
    with pytest.raises(InvalidArgument, match="class beyond the 6"):
        registry.insert(joining(rows_of(1), class_codes=np.array([6])))
    with pytest.raises(InvalidArgument, match="Rows rise strictly"):
        registry.remove(np.array([2, 1]))
    assert registry.version == version


def test_columns_cannot_be_written_from_outside() -> None:
    registry = fleet()
    with pytest.raises(ValueError, match="read-only"):
        registry.columns.lead_ms[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        registry.columns.capabilities[0][0] = 1


def test_more_than_64_capabilities_get_room_and_columns_move_with_the_registry() -> None:
    registry = fleet()
    registry.set_capabilities(rows_of(2), grant=[f"c{number}" for number in range(100)])
    assert len(registry.columns.capabilities) == 2
    held = registry.capabilities.names_of(2, registry.columns.capabilities)
    assert set(held) == {"edge", *(f"c{number}" for number in range(100))}
    assert registry.capabilities.names_of(1, registry.columns.capabilities) == ("edge",)


def test_what_an_agent_works_on_and_waits_for_is_kept_with_the_time_when_it_began() -> None:
    registry = fleet()
    columns, texts = registry.columns, registry.words.texts
    hear(registry, rows_of(5), START_MS + 5_000, work=work(("scan-7", "printer"), [1], [2], START_MS + 1_234))
    assert (texts[columns.task[5]], texts[columns.waits_on[5]]) == ("scan-7", "printer")
    assert (columns.task_since_ms[5], columns.waits_since_ms[5]) == (START_MS + 1_234, START_MS + 5_000)
    hear(registry, rows_of(5), START_MS + 10_000, work=work(("printer", "scan-7"), [2], [1]))
    assert columns.waits_since_ms[5] == START_MS + 5_000
    hear(registry, rows_of(5), START_MS + 15_000, work=work(("ink", "scan-7"), [2], [1]))
    assert (texts[columns.waits_on[5]], columns.waits_since_ms[5]) == ("ink", START_MS + 15_000)
    hear(registry, rows_of(5), START_MS + 20_000, work=work(("ink", "scan-7"), [2], [0]))
    assert (columns.waits_on[5], columns.waits_since_ms[5]) == (0, 0)
    hear(registry, rows_of(5), START_MS + 25_000)
    assert not any(
        getattr(columns, name)[5] for name in ("task", "waits_on", "task_since_ms", "waits_since_ms")
    )


def test_what_a_heartbeat_does_not_know_leaves_what_was_known() -> None:
    registry = fleet()
    unknown = np.array([np.nan, 80, np.nan])
    hear(registry, rows_of(4, 5, 6), START_MS + 1, rtt_ms=unknown, processing_ms=unknown, reliability=np.nan)
    columns = registry.columns
    assert columns.rtt_ms[4:7].tolist() == [40, 80, 40]
    assert columns.processing_ms[4:7].tolist() == [10, 80, 10]
    assert columns.reliability[4:7].tolist() == [1, 1, 1]
    assert columns.lead_ms[4:7].tolist() == [40, 140, 40]


def test_a_first_measurement_is_no_spike_however_far_the_guess_was_off() -> None:
    registry = FleetRegistry(SMALL)
    registry.insert(joining(rows_of(0)))
    for turn, rtt_ms in enumerate((np.nan, np.nan, 300, 300)):
        hear(registry, rows_of(0), START_MS + turn, rtt_ms=rtt_ms)
        assert not flags(registry.columns, registry.classes)[2][0]
    hear(registry, rows_of(0), START_MS + 9, rtt_ms=700)
    assert flags(registry.columns, registry.classes)[2][0]


def test_a_quarantine_outlives_whatever_its_host_reports_until_it_is_released() -> None:
    registry = fleet()
    assert registry.set_duty(rows_of(2, 3), Duty.QUARANTINED).tolist() == [2, 3]
    assert registry.set_duty(rows_of(2), Duty.QUARANTINED).tolist() == []
    hear(registry, rows_of(2, 3, 4), START_MS + 1, duty=DUTY_CODES.index(Duty.DRAINING))
    duties = [DUTY_CODES[code] for code in registry.columns.duty[2:5]]
    assert duties == [Duty.QUARANTINED, Duty.QUARANTINED, Duty.DRAINING]
    registry.set_duty(rows_of(2), Duty.READY)
    assert DUTY_CODES[registry.columns.duty[2]] is Duty.DRAINING


def test_words_of_rows_outlive_any_number_of_tasks() -> None:
    registry = fleet()
    hear(registry, rows_of(0), START_MS + 1, work=work(("kept",), [1], [0]))
    for turn in range(3_000):
        hear(registry, rows_of(1), START_MS + turn, work=work((f"task-{turn}",), [1], [0]))
    assert registry.words.texts[registry.columns.task[0]] == "kept"
    assert registry.words.texts[registry.columns.task[1]] == "task-2999"
    assert len(registry.words) < 1_100


def test_a_lead_that_was_learnt_is_asked_of_who_learnt_it() -> None:
    learnt = np.arange(SMALL.size, dtype=np.float32)
    registry = FleetRegistry(SMALL, lead_of=lambda columns, index: learnt[index] + columns.rtt_ms[index])
    rows = np.arange(SMALL.size)
    registry.insert(joining(rows))
    hear(registry, rows_of(*range(10)), rtt_ms=100)
    assert registry.columns.lead_ms[3] == 103
    learnt[:] = 7
    registry.refresh_leads(rows_of(3))
    assert registry.columns.lead_ms[3:5].tolist() == [107, 104]


def test_every_row_knows_the_version_that_changed_it() -> None:
    registry = fleet()
    version = registry.version
    hear(registry, rows_of(4), START_MS + 1)
    registry.set_duty(rows_of(5), Duty.DRAINING)
    assert registry.version == version + 2
    assert registry.columns.version[[20, 4, 5]].tolist() == [version, version + 1, version + 2]
