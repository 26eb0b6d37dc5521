"""A replica is what the registry was at its version, in whatever order frames arrive; and it notices what it lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.topology import Topology
from ohmesh.registry.fleet.columns import COLUMN_TYPES
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.registry.fleet.replica import (
    EVERYTHING,
    ChangeFrame,
    Position,
    Replica,
    Taken,
    decode_changes,
    encode_changes,
)
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.registry.fleet.view import view
from tests.unit.registry.fleet.fleets import SMALL, START_MS, fleet, hear, joining, rows_of, work

TERM = 3
SHAPE = Topology(sectors=1, clusters=2, agents=4)
PLACES = st.sets(st.integers(0, SHAPE.size - 1), min_size=1).map(lambda rows: np.array(sorted(rows)))
CHANGES = st.tuples(
    st.sampled_from(("insert", "hear", "leave", "remove", "quarantine", "grant", "swap names", "nothing")),
    PLACES,
)


def change(registry: FleetRegistry, what: str, rows: np.ndarray[Any, np.dtype[np.intp]], turn: int) -> None:
    match what:
        case "insert":
            names = {int(rows[0]): f"name-{turn}"} if turn % 2 else {}
            codes = np.full(len(rows), turn % 6)
            registry.insert(joining(rows, class_codes=codes, names=names, at_ms=START_MS + turn))
        case "hear":
            words = (f"task-{turn}", "ink")
            doing = work(words, [1] * len(rows), [turn % 3] * len(rows))
            hear(registry, rows, START_MS + turn, rtt_ms=turn, context_hash=turn, work=doing)
        case "leave":
            registry.leave(rows)
        case "remove":
            registry.remove(rows)
        case "quarantine":
            registry.set_duty(rows, Duty.QUARANTINED if turn % 2 else Duty.READY)
        case "grant":
            registry.set_capabilities(rows, grant=[f"c{place}" for place in range(turn, turn + 20)])
        case "swap names":
            swap_names(registry)


def swap_names(registry: FleetRegistry) -> None:
    named = sorted(registry.rows_by_name.items())[:2]
    if len(named) == 2:
        (one, one_row), (two, two_row) = named
        registry.rename(one_row, "")
        registry.rename(two_row, one)
        registry.rename(one_row, two)


def told(registry: FleetTable) -> list[object]:
    """All that can be asked of it, in words."""
    abilities, bits = registry.capabilities, registry.columns.capabilities
    holders = {name: abilities.rows(name, bits).tolist() for name in abilities.names}
    found: list[object] = [registry.version, dict(registry.rows_by_name), holders]
    for row in range(registry.topology.size):
        if registry.columns.liveness[row] == VACANT:
            found.append(
                all(getattr(registry.columns, name)[row] == 0 for name in set(COLUMN_TYPES) - {"version"})
            )
        else:
            plain = set(COLUMN_TYPES) - {"host", "task", "waits_on"}
            raw = {name: getattr(registry.columns, name)[row].item() for name in plain}
            found.append((view(registry, row), raw))
    return found


def frames_of(registry: FleetTable, after: Position | None, rows_a_frame: int = 4_000) -> list[ChangeFrame]:
    return [
        decode_changes(one) for one in encode_changes(registry, TERM, after=after, rows_a_frame=rows_a_frame)
    ]


@settings(max_examples=120)
@given(st.lists(CHANGES, max_size=14), st.data())
def test_a_replica_is_what_the_registry_was_in_whatever_order_frames_arrive(
    changes: list[tuple[str, np.ndarray[Any, np.dtype[np.intp]]]], data: st.DataObject
) -> None:
    registry, replica = FleetRegistry(SHAPE), Replica(FleetRegistry(SHAPE))
    states, mail = {0: told(registry)}, frames_of(registry, None)
    for turn, (what, rows) in enumerate(changes):
        change(registry, what, rows, turn)
        states[registry.version] = told(registry)
        since = data.draw(st.sampled_from([None, *states]))
        after = None if since is None else Position(TERM, since)
        mail += frames_of(registry, after, rows_a_frame=data.draw(st.sampled_from((1, 3, 100))))
    order = data.draw(st.permutations(range(len(mail)))) if len(mail) < 30 else range(len(mail))
    for place in [*order, *order[: len(order) // 2]]:
        version = replica.fleet.version
        taken = replica.take(mail[place])
        if taken is Taken.APPLIED:
            assert replica.position == (TERM, mail[place].version)
            assert told(replica.fleet) == states[mail[place].version]
        else:
            assert replica.fleet.version == version
        if taken is Taken.GAP:
            assert replica.position is None or mail[place].since > version
    for frame in frames_of(registry, replica.position, rows_a_frame=2):
        replica.take(frame)
    assert told(replica.fleet) == told(registry)


def test_a_gap_is_noticed_and_closed_by_asking_once() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    (everything,) = frames_of(registry, None)
    assert replica.take(everything) is Taken.APPLIED
    hear(registry, rows_of(1), START_MS + 1)
    lost = Position(TERM, registry.version)
    hear(registry, rows_of(2), START_MS + 1)
    (late,) = frames_of(registry, lost)
    assert replica.take(late) is Taken.GAP
    (answer,) = frames_of(registry, replica.position)
    assert len(answer.rows) // 4 == 2
    assert replica.take(answer) is Taken.APPLIED
    assert told(replica.fleet) == told(registry)
    assert replica.take(late) is Taken.KNOWN


def test_that_nothing_has_changed_is_told_too_so_a_lost_frame_is_noticed_at_the_next() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    replica.take(*frames_of(registry, None))
    hear(registry, rows_of(1), START_MS + 1)
    (nothing,) = frames_of(registry, Position(TERM, registry.version))
    assert not nothing.rows
    assert replica.take(nothing) is Taken.GAP


def test_a_follower_begins_with_everything_and_again_in_each_term() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    (changes,) = frames_of(registry, Position(TERM, 1))
    assert replica.take(changes) is Taken.GAP
    (everything,) = frames_of(registry, replica.position)
    assert everything.since == EVERYTHING
    assert replica.take(everything) is Taken.APPLIED
    assert replica.take(structs.replace(changes, term=TERM + 1)) is Taken.GAP
    (next_term,) = map(decode_changes, encode_changes(registry, TERM + 1, after=replica.position))
    assert next_term.since == EVERYTHING
    assert replica.take(next_term) is Taken.APPLIED
    assert replica.position == (TERM + 1, registry.version)
    assert replica.take(everything) is Taken.FENCED


def test_a_replica_that_is_promoted_serves_those_that_followed_its_predecessor() -> None:
    registry = fleet(names={4: "Ada"})
    second, third = Replica(FleetRegistry(SMALL)), Replica(FleetRegistry(SMALL))
    for one in (second, third):
        one.take(*frames_of(registry, None))
    hear(registry, rows_of(4), START_MS + 1, work=work(("t",), [1], [0]))
    second.take(*frames_of(registry, second.position))
    promoted = second.fleet
    assert isinstance(promoted, FleetRegistry)
    hear(promoted, rows_of(5), START_MS + 2, rtt_ms=7)
    promoted.set_capabilities(rows_of(6), grant=["ocr"])
    for data in encode_changes(promoted, TERM + 1, after=third.position):
        third.take(decode_changes(data))
    assert told(third.fleet) == told(promoted)
    # Its predecessor comes back with what nobody heard of, and follows.
    registry.set_capabilities(rows_of(7), grant=["lost"])
    returned = Replica(registry)
    for data in encode_changes(promoted, TERM + 1, after=returned.position):
        assert returned.take(decode_changes(data)) is Taken.APPLIED
    assert told(registry) == told(promoted)
    assert registry.capabilities.names == promoted.capabilities.names


def test_frames_of_one_change_are_applied_together_or_not_at_all() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    *others, last = frames_of(registry, None, rows_a_frame=7)
    assert [replica.take(frame) for frame in others] == [Taken.WAITING] * 4
    assert not replica.fleet.columns.liveness.any()
    assert replica.take(last) is Taken.APPLIED
    assert told(replica.fleet) == told(registry)


def test_words_that_nobody_uses_any_more_do_not_pile_up_in_a_replica() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    for turn in range(2_500):
        hear(registry, rows_of(1), START_MS + turn, work=work((f"task-{turn}",), [1], [0]))
        replica.take(*frames_of(registry, replica.position))
    assert view(replica.fleet, 1).task == "task-2499"
    assert len(replica.fleet.words) < 1_100


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape": (3, 2, 6)}, r"fleet of \(3, 2, 6\)"),
        ({"classes": ("A",)}, "classes"),
        ({"columns": {}}, "have the columns"),
        ({"rows": b"\0\0\0\0"}, "30 rows|1 rows"),
        ({"rows": np.arange(1, 31).astype("<u4").tobytes()}, "'rows' holds values outside of 0 to 29"),
        ({"rows": np.arange(30)[::-1].astype("<u4").tobytes()}, "Rows rise strictly"),
        ({"hosts": ("",)}, "'host' holds values"),
        ({"words": ()}, "'task' holds values"),
        ({"bits": ()}, "bits of other capabilities"),
        ({"names": ((30, "Ada"),)}, "names of other rows"),
        ({"names": ((1, "Ada"), (2, "Ada"))}, "one name to two agents"),
        ({"frame": 1}, "Frame 1 of 1 does not exist"),
    ],
)
def test_a_frame_that_contradicts_itself_is_refused_and_changes_nothing(
    fields: dict[str, Any], words: str
) -> None:
    (frame,) = frames_of(fleet(), None)
    replica = Replica(FleetRegistry(SMALL))
    replica.take(*frames_of(FleetRegistry(SMALL), None))
    before = told(replica.fleet)
    with pytest.raises(InvalidArgument, match=words):
        replica.take(structs.replace(frame, **fields))
    assert told(replica.fleet) == before
    assert replica.take(frame) is Taken.APPLIED


def test_a_code_beyond_its_table_is_refused() -> None:
    (frame,) = frames_of(fleet(), None)
    columns = {**frame.columns, "liveness": bytes([6] * 30)}
    with pytest.raises(InvalidArgument, match="'liveness' holds values outside of 0 to 5"):
        Replica(FleetRegistry(SMALL)).take(structs.replace(frame, columns=columns))


def test_changes_that_give_capabilities_other_bits_are_refused() -> None:
    registry = fleet()
    replica = Replica(FleetRegistry(SMALL))
    replica.take(*frames_of(registry, None))
    hear(registry, rows_of(1), START_MS + 1)
    (frame,) = frames_of(registry, replica.position)
    with pytest.raises(InvalidArgument, match="other bits to capabilities"):
        replica.take(structs.replace(frame, capabilities=tuple(reversed(frame.capabilities))))


@pytest.mark.parametrize("data", [b"", b"\x90", b"nonsense", b"\xc1"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="cannot be read"):
        decode_changes(data)
