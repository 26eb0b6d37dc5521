"""The canonical text reads as the same tree; nothing that is typed crashes the reader."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ohmesh.errors import InvalidSelector
from ohmesh.registry.selector import Field, FieldType, Selector, compile_selector
from ohmesh.registry.selector.tree import (
    And,
    Comparison,
    Glob,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    Present,
    Value,
)
from tests.unit.registry.selector.made_up import FLEET, ROW

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("class=gpu   AND sector IN(3,7)", "class=gpu and sector in (3, 7)"),
        ("class == 'gpu'", "class=gpu"),
        ("class='and' or class='a b' or class='it\\'s'", "class='and' or class='a b' or class='it\\'s'"),
        ("class='vm-*' or class=vm-***", "class='vm-*' or class=vm-*"),
        ("class=''", "class=''"),
        ("class=büro/7@x:1", "class=büro/7@x:1"),
        ("state=GONE", "state=gone"),
        ("sector=007.50", "sector=7.5"),
        ("sector=-0", "sector=0"),
        ("sector=0.000000000001", "sector=0.000000000001"),
        ("sector in (3, 3.0, 4)", "sector in (3, 4)"),
        ("load>80%", "load>0.8"),
        ("load>12.3%", "load>0.123"),
        ("impedance>60000ms", "impedance>1min"),
        ("impedance>1.5min", "impedance>90s"),
        ("impedance>48h", "impedance>2d"),
        ("impedance>0.5ms", "impedance>0.5ms"),
        ("impedance>0", "impedance>0ms"),
        ("seen>2026-01-01", "seen>2026-01-01T00:00:00.000Z"),
        ("seen>2026-01-01T02:00+02:00", "seen>2026-01-01T00:00:00.000Z"),
        ("((class=a) and (class=b and class=c))", "class=a and class=b and class=c"),
        ("(class=a and class=b) or (class=c or class=d)", "class=a and class=b or class=c or class=d"),
        ("class=a and (class=b or class=c)", "class=a and (class=b or class=c)"),
        ("not (class=a and class=b)", "not (class=a and class=b)"),
        ("not (class in (a))", "class not in (a)"),
        ("NOT class", "not class"),
    ],
)
def test_a_selector_prints_in_canonical_form(text: str, canonical: str) -> None:
    selector = compile_selector(text, FLEET)
    assert str(selector) == canonical
    assert compile_selector(canonical, FLEET) == selector
    assert hash(compile_selector(canonical, FLEET)) == hash(selector)
    assert canonical in repr(selector)


def values_of(field: Field) -> st.SearchStrategy[Value]:
    if field.type is FieldType.TEXT:
        texts: st.SearchStrategy[Value] = st.text(max_size=12)
        globs = st.from_regex(r"[a-z0-9/.:-]{0,3}[*?][a-z]{0,3}", fullmatch=True).map(Glob)
        return texts | globs
    if field.type is FieldType.CHOICE:
        return st.sampled_from(field.choices)
    if field.type is FieldType.TIME:
        return st.integers(-60_000_000_000_000, 250_000_000_000_000)
    whole = st.integers(-(10**15), 10**15)
    decimals = st.decimals(-(10**6), 10**6, places=9, allow_nan=False).map(
        lambda number: int(number) if number == int(number) else float(number)
    )
    return whole | decimals | st.integers(0, 400).map(lambda days: days * DAY_MS)


def leaves_of(field: Field) -> st.SearchStrategy[Node]:
    values = values_of(field)
    equality = st.sampled_from([Operator.EQUAL, Operator.UNEQUAL])
    order = st.sampled_from([*Operator]) if field.can_be_compared else equality
    return (
        st.just(Present(field.name))
        | st.builds(Comparison, st.just(field.name), order, values)
        | st.builds(
            OneOf, st.just(field.name), st.lists(values, min_size=1, max_size=4, unique=True).map(tuple)
        )
    )


def joined(operands: list[Node], kind: type[And | Or]) -> Node:
    flat = [part for one in operands for part in (one.operands if isinstance(one, kind) else [one])]
    return kind(tuple(flat))


trees: st.SearchStrategy[Node] = st.recursive(
    st.one_of([leaves_of(field) for field in FLEET.fields]),
    lambda children: (
        st.builds(Not, children)
        | st.lists(children, min_size=2, max_size=3).map(lambda operands: joined(operands, And))
        | st.lists(children, min_size=2, max_size=3).map(lambda operands: joined(operands, Or))
    ),
    max_leaves=8,
)


@given(trees)
def test_the_canonical_text_of_any_tree_reads_as_that_tree(tree: Node) -> None:
    selector = Selector(tree, FLEET)
    again = compile_selector(str(selector), FLEET)
    assert again.tree == tree
    assert str(again) == str(selector)
    assert again.matches(ROW) == selector.matches(ROW)


words = st.sampled_from(
    [
        *FLEET.names,
        *"=<>(),!'\"*?&\\",
        "!=",
        "<=",
        "and",
        "or",
        "NOT",
        "in",
        "gone",
        "3",
        "80%",
        "4ms",
        "1e9",
        " ",
    ]
)


@given(st.text(max_size=60) | st.lists(words | st.text(max_size=3), max_size=25).map(" ".join))
@example("sector=" + "9" * 16)
@example("seen=9999-12-31T23:59:59-14:00")
@example("seen=9999-12-31T23:59:59.999999")
@example("seen=0001-01-01")
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    try:
        selector = compile_selector(text, FLEET)
    except InvalidSelector as error:
        assert 0 <= error.position <= len(text)
        assert error.message
    else:
        assert isinstance(selector.matches(ROW), bool)
        assert compile_selector(str(selector), FLEET) == selector
