"""What a selector means: a table of selectors over one row."""

from __future__ import annotations

import pytest

from ohmesh.registry.selector import compile_selector
from tests.unit.registry.selector.made_up import FLEET, ROW

MATCHING = [
    "class=gpu and sector in (3,7) and impedance>400ms and not state=quarantined",
    "class == gpu",
    "class",
    "class=gpu AND Not state=gone Or sector=9",
    "class = 'gpu'",
    'class="gpu"',
    "name=vm-*",
    "name=*-17",
    "name=v?-1?",
    "name=*m*1*",
    "name in (box-1, vm-*)",
    "name not in (box-1, 'vm-*')",
    "name!='vm-*'",
    "tags=fast",
    "tags=eu-*",
    "tags in (slow, fast)",
    "tags!=slow",
    "tags not in (slow, us-*)",
    "tags",
    "state=ACTIVE",
    "state=a*",
    "state in (active, gone)",
    "grade>low",
    "grade>=NORMAL and grade<high",
    "sector>=3 and sector<=3",
    "sector>2.5",
    "sector!=-3",
    "sector=3.0",
    "sector=+3",
    "load>80%",
    "load<0.9",
    "load=85%",
    "impedance<1s",
    "impedance>0",
    "impedance=450.0ms",
    "impedance<=0.5s and impedance<0.01min and impedance<1H and impedance<1d",
    "seen>=2026-01-01",
    "seen=2026-01-01T01:00+01:00",
    "seen<'2026-01-01 00:01'",
    "sector=9 or sector=3 and class=gpu",
    "not (sector=9 or class=cpu)",
    "not not class=gpu",
    "((class=gpu))",
]

NOT_MATCHING = [
    "class=GPU",
    "class=gp",
    "class=gpus or class=''",
    "not class",
    "name=vm-",
    "name='vm-*'",
    "name=?17",
    "name=*m*m*",
    "name!=vm-*",
    "tags!=fast",
    "tags not in (slow, eu-*)",
    "state=gone",
    "grade>normal",
    "grade<normal or grade>=high",
    "sector in (4, 5)",
    "load>85%",
    "impedance>=451ms",
    "seen>2026-01-01",
    "(sector=9 or sector=3) and class=cpu",
    "not class=gpu or not sector=3",
]


@pytest.mark.parametrize("text", MATCHING)
def test_it_matches(text: str) -> None:
    assert compile_selector(text, FLEET).matches(ROW)


@pytest.mark.parametrize("text", NOT_MATCHING)
def test_it_does_not_match(text: str) -> None:
    assert not compile_selector(text, FLEET).matches(ROW)


@pytest.mark.parametrize(
    "row", [{}, {"impedance": None, "state": None, "grade": None, "tags": (), "name": None}]
)
def test_a_field_without_a_value_compares_false_so_that_unequal_and_not_hold(row: dict[str, None]) -> None:
    def matches(text: str) -> bool:
        return compile_selector(text, FLEET).matches(row)

    assert not any(map(matches, ["impedance", "impedance>0", "impedance<=1h", "state=active", "grade<high"]))
    assert not any(map(matches, ["tags=fast", "tags", "name=*", "name in (a, b*)"]))
    assert all(map(matches, ["not impedance", "not impedance>0", "state!=active", "tags!=fast"]))
    assert matches("name not in (a, b*)")


@pytest.mark.parametrize("empty", ["", 0, 0.0, (), None])
def test_a_field_alone_asks_for_a_value_that_is_not_empty(
    empty: str | float | tuple[str, ...] | None,
) -> None:
    assert not compile_selector("name", FLEET).matches({"name": empty})


def test_a_pattern_of_many_stars_is_quick_on_a_text_that_almost_fits() -> None:
    selector = compile_selector("name=" + "*a" * 500 + "b", FLEET)
    assert not selector.matches({"name": "a" * 20_000})
    assert selector.matches({"name": "a" * 20_000 + "b"})


def test_a_selector_tells_which_fields_it_needs_and_what_a_row_costs() -> None:
    selector = compile_selector("class=gpu and (name in (a, b, c) or not class and load)", FLEET)
    assert selector.fields == ("class", "name", "load")
    assert selector.cost == 6
