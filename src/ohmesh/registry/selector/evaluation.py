"""A tree as a function of one row. Everything that can be decided once is decided before the first row is seen."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ohmesh.registry.selector.canonical import field_of
from ohmesh.registry.selector.literals import glob_pattern
from ohmesh.registry.selector.schema import FieldType, Schema
from ohmesh.registry.selector.tree import And, Comparison, Glob, Node, Not, OneOf, Operator, Or, Value

RowValue: TypeAlias = str | int | float | tuple[str, ...] | None
Row: TypeAlias = Mapping[str, RowValue]
Predicate: TypeAlias = Callable[[Row], bool]

_Test: TypeAlias = Callable[[RowValue], bool]

_ORDER: dict[Operator, Callable[[float, float], bool]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def predicate(node: Node, schema: Schema) -> Predicate:
    """Whether a row matches; a field that the row lacks has no value."""
    if isinstance(node, And):
        return _all([predicate(one, schema) for one in node.operands])
    if isinstance(node, Or):
        return _any([predicate(one, schema) for one in node.operands])
    if isinstance(node, Not):
        return _not(predicate(node.operand, schema))
    name = node.field
    if isinstance(node, OneOf):
        return _on(name, _one_of(node.values), is_repeated=field_of(node, schema).is_repeated)
    if isinstance(node, Comparison):
        return _comparison(node, schema)
    return lambda row: bool(row.get(name))


def _comparison(node: Comparison, schema: Schema) -> Predicate:
    field = field_of(node, schema)
    if node.operator is Operator.EQUAL:
        return _on(node.field, _one_of((node.value,)), is_repeated=field.is_repeated)
    if node.operator is Operator.UNEQUAL:
        return _not(_on(node.field, _one_of((node.value,)), is_repeated=field.is_repeated))
    ranks = (
        {choice: rank for rank, choice in enumerate(field.choices)}
        if field.type is FieldType.CHOICE
        else None
    )
    return _on(node.field, _ordered(node.operator, node.value, ranks), is_repeated=field.is_repeated)


def _on(name: str, test: _Test, *, is_repeated: bool) -> Predicate:
    if not is_repeated:
        return lambda row: test(row.get(name))

    def one_passes(row: Row) -> bool:
        values = row.get(name)
        return isinstance(values, tuple) and any(map(test, values))

    return one_passes


def _one_of(values: tuple[Value, ...]) -> _Test:
    exact = frozenset(value for value in values if not isinstance(value, Glob))
    patterns = [glob_pattern(value.pattern).fullmatch for value in values if isinstance(value, Glob)]
    if not patterns:
        return exact.__contains__

    def test(value: RowValue) -> bool:
        if value in exact:
            return True
        return isinstance(value, str) and any(matches(value) for matches in patterns)

    return test


def _ordered(sign: Operator, wanted: Value, ranks: dict[str, int] | None) -> _Test:
    holds = _ORDER[sign]
    if ranks is not None:
        if isinstance(wanted, Glob):
            raise AssertionError("a pattern has no place in an order")
        bound = ranks[str(wanted)]
        return lambda value: value in ranks and holds(ranks[str(value)], bound)
    assert isinstance(wanted, int | float)
    return lambda value: isinstance(value, int | float) and holds(value, wanted)


def _all(parts: list[Predicate]) -> Predicate:
    def test(row: Row) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs as much as the parts
            if not part(row):
                return False
        return True

    return test


def _any(parts: list[Predicate]) -> Predicate:
    def test(row: Row) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs as much as the parts
            if part(row):
                return True
        return False

    return test


def _not(part: Predicate) -> Predicate:
    return lambda row: not part(row)
