"""Plain tables and records: aligned columns of text, no frames, never wider than asked.

When the columns do not fit, the widest one is shortened until they do; what was cut ends in `...`. When that is not
enough (a narrow terminal), the least important column is left out, and so on: columns stand in the order of their
importance. The first one names the row, people copy it: it is never cut, and neither are ids of tasks and times, of
which a part is worth nothing. Numbers stand right, all else left. Nothing is cut in JSON and CSV, the forms for
programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ohmesh.cli.text_width import one_line, padded, shortened, text_width

GAP = "  "
MIN_COLUMN_WIDTH = 12
LEAST_COLUMN_WIDTH = 6
UNCUT = frozenset({"task", "task_id", "ended", "when", "next due"})


def render_table(
    rows: Sequence[Mapping[str, object]],
    *,
    columns: Sequence[str] = (),
    width: int = 100,
    is_chosen: bool = False,
) -> str:
    """`is_chosen`: a person asked for exactly these columns, so none is left out; they are cut further instead."""
    names = [*columns] or list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [cell_text(row.get(name)) for row in rows] for name in names}
    wanted = {name: max(map(text_width, [_head(name), *cells[name]])) for name in names}
    wide = _fit(wanted, width, least=LEAST_COLUMN_WIDTH if is_chosen else MIN_COLUMN_WIDTH)
    while not is_chosen and len(wide) > 1 and _total(wide) > width:
        wanted.popitem()
        wide = _fit(wanted, width, least=MIN_COLUMN_WIDTH)
    numeric = {name for name in names if all(_is_number(row.get(name)) for row in rows)}
    lines = [{name: _head(name) for name in wide}]
    lines += [{name: cells[name][at] for name in wide} for at in range(len(rows))]
    return "\n".join(
        GAP.join(padded(line[name], wide[name], right=name in numeric) for name in wide).rstrip()
        for line in lines
    )


def render_record(record: Mapping[str, object], *, width: int = 100) -> str:
    if not record:
        return ""
    label = max(text_width(name) for name in record)
    room = max(MIN_COLUMN_WIDTH, width - label - len(GAP))
    return "\n".join(
        f"{padded(name.replace('_', ' '), label)}{GAP}{shortened(cell_text(value), room)}".rstrip()
        for name, value in record.items()
    )


def cell_text(value: object) -> str:
    """One line of text for a value: empty for nothing, lists joined by commas, nested records as `name=value`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={cell_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(inner) for inner in value)
    return one_line(str(value))


def _head(name: str) -> str:
    return name.upper().replace("_", " ")


def _fit(wanted: Mapping[str, int], width: int, *, least: int) -> dict[str, int]:
    """Widths of the columns, the widest of those that may be cut made narrower until all fit or none can be cut."""
    fitted = dict(wanted)
    uncut = {next(iter(fitted)), *UNCUT}
    while (excess := _total(fitted) - width) > 0:
        can_shrink = [name for name, size in fitted.items() if size > least and name not in uncut]
        if not can_shrink:
            break
        by_size = sorted(can_shrink, key=lambda name: -fitted[name])
        next_size = fitted[by_size[1]] if len(by_size) > 1 else least
        widest = by_size[0]
        fitted[widest] -= max(1, min(excess, fitted[widest] - max(next_size, least)))
    return fitted


def _total(wide: Mapping[str, int]) -> int:
    return sum(wide.values()) + len(GAP) * (len(wide) - 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
