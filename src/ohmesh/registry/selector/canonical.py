"""A tree as text: one blank around words, the fewest parentheses, values as literals.py writes them."""

from __future__ import annotations

from ohmesh.registry.selector.literals import write_value
from ohmesh.registry.selector.schema import Field, Schema
from ohmesh.registry.selector.tree import And, Comparison, Node, Not, OneOf, Or, Present, Value


def write(node: Node, schema: Schema) -> str:
    """Read again under the same schema this gives `node`."""
    if isinstance(node, Or):
        return " or ".join(write(one, schema) for one in node.operands)
    if isinstance(node, And):
        return " and ".join(_operand(one, schema, (Or,)) for one in node.operands)
    if isinstance(node, Not):
        if isinstance(node.operand, OneOf):
            return _list(node.operand, "not in", schema)
        return f"not {_operand(node.operand, schema, (Or, And))}"
    if isinstance(node, OneOf):
        return _list(node, "in", schema)
    if isinstance(node, Present):
        return node.field
    return f"{node.field}{node.operator}{_value(node, node.value, schema)}"


def _operand(node: Node, schema: Schema, weaker: tuple[type, ...]) -> str:
    text = write(node, schema)
    return f"({text})" if isinstance(node, weaker) else text


def _list(node: OneOf, words: str, schema: Schema) -> str:
    return f"{node.field} {words} ({', '.join(_value(node, value, schema) for value in node.values)})"


def _value(node: OneOf | Comparison, value: Value, schema: Schema) -> str:
    return write_value(value, field_of(node, schema))


def field_of(node: OneOf | Comparison, schema: Schema) -> Field:
    field = schema.find(node.field)
    assert field is not None, f"{node.field} was checked when the selector was read"
    return field
