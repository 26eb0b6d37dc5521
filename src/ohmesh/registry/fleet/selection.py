"""Selectors over columns: which rows of the registry a selector means, as one mask, without looking at an agent alone.

The tree of the selector language is walked as evaluation.py walks it over one row, and means the same: logic has two
values, a row without a value fails every comparison, a field of several values passes if one of them does. A field is
read once, however often it is tested.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_agent import FLAGS
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES
from ohmesh.protocols.arrival import prior
from ohmesh.registry.fields import fleet_schema
from ohmesh.registry.fleet.columns import Doubles, FleetColumns, Mask, Times
from ohmesh.registry.fleet.impedance import flags
from ohmesh.registry.fleet.liveness import VACANT
from ohmesh.registry.fleet.table import FleetTable
from ohmesh.registry.fleet.text_columns import (
    AnyOf,
    ContextTexts,
    FewTexts,
    Held,
    ManyTexts,
    PlaceTexts,
    SparseTexts,
    TextColumn,
    Wanted,
)
from ohmesh.registry.fleet.view import as_ratio, in_ms
from ohmesh.registry.selector import Selector
from ohmesh.registry.selector.tree import And, Comparison, Node, Not, OneOf, Operator, Or, Present, Value


class Numbers(NamedTuple):
    """In the base unit of the field; `is_known` None where every row has one."""

    values: Doubles
    is_known: Mask | None = None


FieldColumn: TypeAlias = Numbers | TextColumn

_ORDER: dict[Operator, Callable[[Doubles, float], Mask]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def select(fleet: FleetTable, selector: Selector, now_ms: int) -> Mask:
    """Of every row, whether an agent is there that is meant, as things are at mesh time `now_ms`.

    Raises InvalidArgument: a selector that was not read for the classes of this fleet (fields.fleet_schema)."""
    if selector.schema != fleet_schema(fleet.classes.all):
        raise InvalidArgument(
            f"A selector of {selector.schema.noun} cannot select agents of this fleet.",
            hint="Compile it with fleet_schema of the classes of the fleet.",
        )
    is_there: Mask = fleet.columns.liveness != VACANT
    return _mask(selector.tree, _Fields(fleet, now_ms)) & is_there


def _mask(node: Node, fields: _Fields) -> Mask:
    if isinstance(node, And | Or):
        join = np.logical_and if isinstance(node, And) else np.logical_or
        joined: Mask = join.reduce([_mask(one, fields) for one in node.operands])
        return joined
    if isinstance(node, Not):
        return ~_mask(node.operand, fields)
    column = fields.column(node.field)
    if isinstance(node, Present):
        return _present(column)
    if isinstance(node, OneOf):
        return _one_of(column, node.values)
    return _comparison(column, node)


def _present(column: FieldColumn) -> Mask:
    return _known(column, column.values != 0) if isinstance(column, Numbers) else column.present()


def _one_of(column: FieldColumn, values: tuple[Value, ...]) -> Mask:
    if isinstance(column, Numbers):
        return _known(column, np.isin(column.values, np.array(values, np.float64)))
    return column.matching(Wanted(values))


def _comparison(column: FieldColumn, node: Comparison) -> Mask:
    if node.operator is Operator.EQUAL:
        return _one_of(column, (node.value,))
    if node.operator is Operator.UNEQUAL:
        return ~_one_of(column, (node.value,))
    if not isinstance(column, Numbers) or not isinstance(node.value, int | float):
        raise AssertionError(f"{node.field} has no order, and was checked when the selector was read")
    return _known(column, _ORDER[node.operator](column.values, node.value))


def _known(column: Numbers, passes: Mask) -> Mask:
    return passes if column.is_known is None else passes & column.is_known


class _Fields:
    """The fields of fields.FLEET, each made of columns when it is first asked for."""

    def __init__(self, fleet: FleetTable, now_ms: int) -> None:
        self._fleet = fleet
        self._now_ms = now_ms
        self._made: dict[str, FieldColumn] = {}

    def column(self, name: str) -> FieldColumn:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._number(name) or self._text(name)
        return made

    def _number(self, name: str) -> Numbers | None:
        columns = self._columns
        match name:
            case "sector":
                return Numbers(self._places // self._fleet.topology.sector_size)
            case "cluster":
                shape = self._fleet.topology
                return Numbers(self._places // shape.agents % shape.clusters)
            case "impedance":
                return Numbers(in_ms(columns.lead_ms))
            case "score":
                return Numbers(prior.score(in_ms(columns.lead_ms)))
            case "rtt":
                return Numbers(in_ms(columns.rtt_ms), columns.average_ms >= 0)
            case "processing":
                return Numbers(in_ms(columns.processing_ms))
            case "queue":
                return Numbers(columns.queue_depth.astype(np.float64))
            case "reliability":
                return Numbers(as_ratio(columns.reliability))
            case "drift":
                return Numbers(as_ratio(columns.drift))
            case "seen":
                return Numbers(self._since(columns.heartbeat_ms).values)
            case "working":
                return self._since(columns.task_since_ms)
            case "waiting":
                return self._since(columns.waits_since_ms)
        return None

    def _text(self, name: str) -> TextColumn:
        fleet, columns, size = self._fleet, self._columns, self._fleet.topology.size
        match name:
            case "agent":
                return PlaceTexts(fleet.topology)
            case "name":
                return SparseTexts(size, fleet.rows_by_name)
            case "host":
                return ManyTexts(columns.host, fleet.hosts)
            case "task":
                return ManyTexts(columns.task, fleet.words)
            case "waits":
                return ManyTexts(columns.waits_on, fleet.words)
            case "class":
                letters = [one.name.lower() for one in fleet.classes.all]
                titles = [one.title.lower() for one in fleet.classes.all]
                return AnyOf([FewTexts(columns.class_code, texts) for texts in (letters, titles)])
            case "duty":
                return FewTexts(columns.duty, DUTY_CODES)
            case "state":
                liveness = FewTexts(columns.liveness, ("", *LIVENESS_CODES))
                return AnyOf([liveness, FewTexts(columns.duty, DUTY_CODES)])
            case "capability":
                names, bits = fleet.capabilities.names, columns.capabilities
                return Held(size, names, lambda text: fleet.capabilities.holders(text, bits))
            case "flag":
                raised = dict(zip(FLAGS, flags(columns, fleet.classes), strict=True))
                return Held(size, FLAGS, raised.__getitem__)
            case "context":
                return ContextTexts(columns.context_hash)
        raise AssertionError(f"the schema of the fleet has a field {name} that no column answers for")

    @property
    def _columns(self) -> FleetColumns:
        return self._fleet.columns

    @cached_property
    def _places(self) -> Doubles:
        return np.arange(self._fleet.topology.size, dtype=np.float64)

    def _since(self, began_ms: Times) -> Numbers:
        return Numbers(np.maximum(self._now_ms - began_ms, 0).astype(np.float64), began_ms != 0)
