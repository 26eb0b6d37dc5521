"""The tree of a selector: frozen values, equal when they mean the same text in canonical form.

Values are in the base unit of their field (schema.FieldType); `a and (b and c)` is one And of three.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct


class Operator(StrEnum):
    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


class Glob(Struct, frozen=True):
    """Text with `*` (any characters) and `?` (one)."""

    pattern: str


Value: TypeAlias = str | int | float | Glob


class Present(Struct, frozen=True):
    """The field has a value that is not empty, zero or nothing."""

    field: str


class Comparison(Struct, frozen=True):
    field: str
    operator: Operator
    value: Value


class OneOf(Struct, frozen=True):
    field: str
    values: tuple[Value, ...]


class Not(Struct, frozen=True):
    operand: Node


class And(Struct, frozen=True):
    """Two operands or more, none of which is an And."""

    operands: tuple[Node, ...]


class Or(Struct, frozen=True):
    """Two operands or more, none of which is an Or."""

    operands: tuple[Node, ...]


Node: TypeAlias = Present | Comparison | OneOf | Not | And | Or
