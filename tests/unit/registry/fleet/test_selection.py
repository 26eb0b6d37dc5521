"""A selector over columns means what it means over one row after another."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.agent_class import STANDARD_CLASSES, AgentClass, AgentClasses
from ohmesh.model.topology import Topology
from ohmesh.registry.fields import FLEET, TASKS, fleet_schema
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.registry.fleet.selection import select
from ohmesh.registry.fleet.view import view
from ohmesh.registry.rows import FLEET_SOURCES, matcher
from ohmesh.registry.selector import FieldType, Selector, compile_selector
from ohmesh.registry.selector.tree import And, Comparison, Glob, Node, Not, OneOf, Operator, Or, Present
from tests.unit.registry.fleet.fleets import START_MS, fleet, hear, joining, rows_of, work

NOW_MS = START_MS + 60_000
SHAPE = Topology(sectors=3, clusters=2, agents=4)
SECTOR = st.integers(0, 2)
WORDS = ("scan-7", "scan-8", "ink", "")
# Texts that rows have, or nearly have.
TEXTS = (
    "s001.c00.a02",
    "s001.c0.a02",
    "SECTOR1-CLUSTER0-AGENT-02",
    "s999.c00.a00",
    "Ada",
    "box-1",
    "box-2",
    "ocr",
    "edge",
    "0000000000000007",
    "00000000000000ff",
    "7",
    *WORDS,
)
PATTERNS = (
    "*",
    "?",
    "s001.*",
    "*a02",
    "s???.c?1.a*3",
    "*0*1*",
    "s*c*",
    "box-?",
    "*d*",
    "scan-*",
    "*7",
    "e*e",
    "A?a",
)
LEADS = (0.0, 10.0, 40.1, 400.0, 999.9995, 60_000.125)
RATIOS = (0.0, 0.25, 0.5, 0.95, 1.0)


@st.composite
def registries(draw: st.DrawFn) -> FleetRegistry:
    registry = FleetRegistry(SHAPE)
    rows = np.array(sorted(draw(st.sets(st.integers(0, SHAPE.size - 1), min_size=1))))
    count = len(rows)
    for host, those in (("box-1", rows[::2]), ("box-2", rows[1::2])):
        registry.insert(
            joining(
                those,
                host=host,
                class_codes=np.array(
                    draw(st.lists(st.integers(0, 5), min_size=len(those), max_size=len(those))),
                    np.uint8,
                ),
                capability_sets=((), ("ocr",), ("ocr", "asr")),
                set_of=np.arange(len(those)) % 3,
                names={int(those[0]): f"Ada of {host}"} if len(those) else {},
            )
        )
    if draw(st.booleans()):
        registry.rename(int(rows[0]), "Ada")
    for sector in draw(st.sets(SECTOR)):
        of_sector = rows[(rows // SHAPE.sector_size == sector) & (np.arange(count) % 2 == 0)]
        if len(of_sector):
            hear_some(draw, registry, of_sector)
    registry.set_duty(rows[draw(st.integers(0, count)) :], draw(st.sampled_from(Duty)))
    registry.sweep(draw(st.sampled_from((START_MS, START_MS + 20_000, NOW_MS))))
    registry.leave(rows[: draw(st.integers(0, 2))])
    return registry


def hear_some(
    draw: st.DrawFn, registry: FleetRegistry, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> None:
    def some(values: tuple[float, ...]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(draw(st.lists(st.sampled_from(values), min_size=len(rows), max_size=len(rows))))

    for turn in range(2):
        hear(
            registry,
            rows,
            START_MS + draw(st.sampled_from((1_000, 50_000))) * turn,
            rtt_ms=some((*LEADS[:4], np.nan)),
            processing_ms=some(LEADS),
            queue_depth=some((0, 3)),
            reliability=some(RATIOS),
            drift=some((*RATIOS, 0.51)),
            context_hash=some((0, 7, 255)),
            work=work(
                WORDS[:3],
                [int(one) for one in some((0, 1, 2))],
                [int(one) for one in some((0, 2, 3))],
                START_MS - 30_000,
            ),
        )


def values_of(field_name: str) -> st.SearchStrategy[object]:
    field = FLEET.find(field_name)
    assert field is not None
    if field.type is FieldType.TEXT:
        return st.sampled_from(TEXTS) | st.sampled_from(PATTERNS).map(Glob)
    if field.type is FieldType.CHOICE:
        return st.sampled_from(field.choices) | st.just(Glob("*ed*"))
    if field.type is FieldType.RATIO:
        return st.sampled_from((*RATIOS, 0.51, 2))
    if field.type is FieldType.NUMBER:
        return st.sampled_from((-1, 0, 1, 2, 3, 2.5, 40.1, 999.9995, 1_000, 10**15))
    return st.sampled_from((0, 10, 20, 40.1, 59_000, 60_000, 60_000.125, 90_000, 10**15))


@st.composite
def single_tests(draw: st.DrawFn) -> Node:
    name = draw(st.sampled_from(FLEET.names))
    field = FLEET.find(name)
    assert field is not None
    shape = draw(st.sampled_from(("present", "one_of", "comparison")))
    if shape == "present":
        return Present(name)
    if shape == "one_of":
        return OneOf(name, tuple(draw(st.lists(values_of(name), min_size=1, max_size=3))))  # type: ignore[arg-type]
    value = draw(values_of(name))
    is_ordered = field.can_be_compared and not isinstance(value, Glob)
    signs = tuple(Operator) if is_ordered else (Operator.EQUAL, Operator.UNEQUAL)
    return Comparison(name, draw(st.sampled_from(signs)), value)  # type: ignore[arg-type]


TREES = st.recursive(
    single_tests(),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda many: And(tuple(many))),
        st.lists(inner, min_size=2, max_size=3).map(lambda many: Or(tuple(many))),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(registries(), TREES)
def test_the_mask_is_what_row_after_row_would_give(registry: FleetRegistry, tree: Node) -> None:
    selector = Selector(tree, FLEET)
    is_meant = matcher(selector, FLEET_SOURCES, NOW_MS)
    found = select(registry, selector, NOW_MS)
    for row in range(SHAPE.size):
        is_there = registry.columns.liveness[row] != VACANT
        assert found[row] == (is_there and is_meant(view(registry, row))), (row, str(selector))


def test_every_field_can_be_asked_for_over_columns() -> None:
    registry = fleet()
    for name in FLEET.names:
        select(registry, compile_selector(name, FLEET), NOW_MS)
    assert set(FLEET_SOURCES) == set(FLEET.names)


def chosen(text: str, registry: FleetRegistry, now_ms: int = START_MS) -> list[int]:
    return np.flatnonzero(select(registry, compile_selector(text, FLEET), now_ms)).tolist()


def test_the_published_example_selects_what_it_says() -> None:
    registry = fleet(class_codes=np.where(np.arange(30) % 2, 3, 0))
    for sector in range(3):
        hear(registry, np.arange(10) + 10 * sector, rtt_ms=np.where(np.arange(10) > 4, 900, 40))
    registry.set_duty(rows_of(27), Duty.QUARANTINED)
    assert chosen(
        "class=gpu and sector in (2,7) and impedance>400ms and not state=quarantined", registry
    ) == [25, 29]
    assert chosen("class=D and sector=2 and impedance>400ms and state=quarantined", registry) == [27]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("agent=s001.c00.*", [10, 11, 12, 13, 14]),
        ("agent in (s000.c00.a00, s002.c01.a04)", [0, 29]),
        ("name=Ada", [4]),
        ("name", [4]),
        ("agent in (SECTOR0-CLUSTER0-AGENT-02, s000.c00.a03, s9.c0.a0)", [3]),
        ("name='' and agent=s000.c00.*", [0, 1, 2, 3]),
        ("name in ('', Ada) and agent=s000.c00.*", [0, 1, 2, 3, 4]),
        ("rtt=40.1ms", [9]),
        ("state=active and duty=frozen", [5]),
        ("flag=unstable", [6]),
        ("task=scan-* and waits", [7]),
        ("working>=1h and waits=ink", [7]),
        ("reliability<95%", [8]),
        ("reliability=95%", [9]),
        ("context=00000000000000ff", [9]),
        ("capability=braille", [5]),
    ],
)
def test_agents_are_found_by_what_they_are_and_do(text: str, rows: list[int]) -> None:
    registry = fleet(names={4: "Ada"})
    registry.set_duty(rows_of(5), Duty.FROZEN)
    registry.set_capabilities(rows_of(5), grant=["braille"])
    hear(registry, rows_of(6), drift=0.7)
    hear(registry, rows_of(7), work=work(("scan-7", "ink"), [1], [2], START_MS - 3_600_000))
    hear(registry, rows_of(8), reliability=0.9)
    hear(registry, rows_of(9), reliability=0.95, context_hash=255, rtt_ms=40.1)
    assert chosen(text, registry) == rows


def test_vacant_places_are_never_meant() -> None:
    registry = fleet()
    registry.remove(rows_of(3))
    assert len(chosen("not name", registry)) == 29
    assert 3 not in chosen("sector!=9", registry)


def test_who_left_is_still_found_until_it_is_removed() -> None:
    registry = fleet()
    registry.leave(rows_of(3))
    assert chosen("state=left", registry) == [3]


def test_classes_of_a_mesh_of_its_own_have_words_of_their_own() -> None:
    classes = (*STANDARD_CLASSES, AgentClass("Q", "Quantum box", 5.0, 0))
    registry = FleetRegistry(SHAPE, AgentClasses(classes))
    registry.insert(joining(rows_of(1, 2), class_codes=np.array([6, 0])))
    schema = fleet_schema(classes)
    for text in ("class=q", "class='quantum box'"):
        assert np.flatnonzero(select(registry, compile_selector(text, schema), START_MS)).tolist() == [1]


def test_a_selector_of_other_things_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="selector of tasks cannot select agents"):
        select(fleet(), compile_selector("kind=text", TASKS), START_MS)


@given(st.text("sca01.*?", max_size=12), st.integers(0, SHAPE.size - 1))
def test_patterns_over_ids_match_as_patterns_over_texts_do(pattern: str, row: int) -> None:
    registry = FleetRegistry(SHAPE)
    registry.insert(joining(rows_of(row)))
    selector = Selector(OneOf("agent", (Glob(pattern),)), FLEET)
    is_meant = matcher(selector, FLEET_SOURCES, NOW_MS)(view(registry, row))
    assert Counter(select(registry, selector, NOW_MS).tolist())[True] == is_meant
