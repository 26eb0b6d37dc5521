"""A selector that was read and checked, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterator

from ohmesh.registry.selector.canonical import write
from ohmesh.registry.selector.evaluation import predicate
from ohmesh.registry.selector.parser import SelectorLimits, parse
from ohmesh.registry.selector.schema import Schema
from ohmesh.registry.selector.tree import And, Comparison, Node, Not, OneOf, Or, Present

DEFAULT_LIMITS = SelectorLimits()


class Selector:
    """`str()` is its canonical text, `tree` its meaning, `tests` what stands at its leaves, `fields` the names that a
    row must have.

    `cost` counts what one row is compared with, so that a scan can be bounded.
    """

    __slots__ = ("_text", "cost", "fields", "matches", "schema", "tests", "tree")

    def __init__(self, tree: Node, schema: Schema) -> None:
        self.tests = tests = tuple(_tests(tree))
        self.tree = tree
        self.schema = schema
        self.fields = tuple(dict.fromkeys(test.field for test in tests))
        self.cost = sum(len(test.values) if isinstance(test, OneOf) else 1 for test in tests)
        self.matches = predicate(tree, schema)
        self._text = write(tree, schema)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<selector of {self.schema.noun}: {self._text}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and (self.tree, self.schema) == (other.tree, other.schema)

    def __hash__(self) -> int:
        return hash((self.tree, self.schema))


def compile_selector(text: str, schema: Schema, *, limits: SelectorLimits = DEFAULT_LIMITS) -> Selector:
    """Read `text`; InvalidSelector (an InvalidArgument) says what is wrong with it and where.

    `selector.matches(row)` takes a mapping of field names to values, in the units of schema.FieldType.
    """
    return Selector(parse(text, schema, limits), schema)


def _tests(node: Node) -> Iterator[Present | Comparison | OneOf]:
    if isinstance(node, And | Or):
        for one in node.operands:
            yield from _tests(one)
    elif isinstance(node, Not):
        yield from _tests(node.operand)
    else:
        yield node
