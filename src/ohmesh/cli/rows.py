"""A result as rows, for the forms that have one line for each record: jsonl, csv, and `--fields` everywhere.

A result that lists records (its Struct can be iterated) has a row for each, one that accounts for ids has a row for
each id with its `outcome`, any other is one row itself. The names of the fields follow from the type alone, so that a
misspelt one is refused before anything is asked or changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from ohmesh.errors import InvalidArgument
from ohmesh.operations import results as r

Row = dict[str, object]


def rows_of(result: Struct) -> list[Row]:
    """In the order in which a table shows them, with every field as JSON has it."""
    if (named := _ACCOUNTS.get(type(result))) is not None:
        return named(result)
    plain = msgspec.to_builtins(result, enc_hook=str)
    name = _listing(type(result))
    if not name:
        return [plain]
    return [*plain[name], *({"task_id": one, "state": "unknown"} for one in plain.get("unknown", ()))]


def field_names(result_type: type[Struct]) -> tuple[str, ...]:
    """The fields of its rows."""
    if result_type in (r.Cancellation, r.ChangedTasks):
        return ("task_id", "outcome")
    if result_type is r.TaskOutcomes:
        return r.TaskOutcome.__struct_fields__
    name = _listing(result_type)
    if not name:
        return result_type.__struct_fields__
    return _lists(result_type)[name].__struct_fields__


def checked_fields(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names in "a, b"; InvalidArgument for one that does not exist."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise InvalidArgument(
                f"--fields: there is no field {name!r}.", hint=f"{meant}There are: {', '.join(known)}."
            )
    return names


def narrowed(result: Struct, fields: Sequence[str]) -> object:
    """The JSON document with these fields only; of a list, the list around its narrowed records stays whole."""
    plain = msgspec.to_builtins(result, enc_hook=str)
    if type(result) in _ACCOUNTS and not isinstance(result, r.TaskOutcomes):
        return [chosen(row, fields) for row in rows_of(result)]
    name = "outcomes" if isinstance(result, r.TaskOutcomes) else _listing(type(result))
    if not name:
        return chosen(plain, fields)
    return {**plain, name: [chosen(row, fields) for row in plain[name]]}


def chosen(row: Mapping[str, object], fields: Iterable[str]) -> Row:
    return {name: row.get(name) for name in fields}


def _listing(result_type: type[Struct]) -> str:
    """The field that holds the records of a list; "" where the result is one record."""
    return next(iter(_lists(result_type)), "") if hasattr(result_type, "__iter__") else ""


def _lists(result_type: type[Struct]) -> dict[str, type[Struct]]:
    described = shapes.type_info(result_type)
    assert isinstance(described, shapes.StructType)
    return {
        field.name: field.type.item_type.cls
        for field in described.fields
        if isinstance(field.type, shapes.ListType) and isinstance(field.type.item_type, shapes.StructType)
    }


def _outcomes(outcomes: r.TaskOutcomes) -> list[Row]:
    rows = [msgspec.to_builtins(one, enc_hook=str) for one in outcomes.outcomes]
    rows += [{"task_id": one, "state": "unfinished"} for one in outcomes.unfinished]
    return rows + [{"task_id": one, "state": "unknown"} for one in outcomes.unknown]


def _cancelled(cancellation: r.Cancellation) -> list[Row]:
    return _accounted("cancelled", cancellation.cancelled, cancellation.too_late, cancellation.unknown)


def _changed(changed: r.ChangedTasks) -> list[Row]:
    return _accounted("done", changed.done, changed.too_late, changed.unknown)


def _accounted(good: str, done: Sequence[str], too_late: Sequence[str], unknown: Sequence[str]) -> list[Row]:
    groups = {good: done, "too_late": too_late, "unknown": unknown}
    return [{"task_id": one, "outcome": outcome} for outcome, ids in groups.items() for one in ids]


_ACCOUNTS: dict[type, Callable[..., list[Row]]] = {
    r.TaskOutcomes: _outcomes,
    r.Cancellation: _cancelled,
    r.ChangedTasks: _changed,
}
