"""Plain tables and records: aligned columns of text, no frames, never wider than asked.

When the columns do not fit, the widest one is shortened until they do; what was cut ends in `...`. The first column is
cut last: it names the row, and people copy it. Numbers stand right, all else left. Nothing is cut in JSON, which is
the form for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GAP = "  "
MIN_COLUMN_WIDTH = 6


def render_table(
    rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] = (), width: int = 100
) -> str:
    names = [*columns] or list(dict.fromkeys(name for row in rows for name in row))
    cells = [[cell_text(row.get(name)) for name in names] for row in rows]
    numeric = [all(_is_number(row.get(name)) for row in rows) for name in names]
    heads = [name.upper().replace("_", " ") for name in names]
    wide = [max(len(head), *(len(line[at]) for line in cells)) for at, head in enumerate(heads)]
    wide = _fit(wide, width - len(GAP) * (len(names) - 1))
    return "\n".join(_line(line, wide, numeric) for line in [heads, *cells])


def render_record(record: Mapping[str, object], *, width: int = 100) -> str:
    if not record:
        return ""
    label = max(len(name) for name in record)
    room = max(MIN_COLUMN_WIDTH, width - label - len(GAP))
    return "\n".join(
        f"{name.replace('_', ' '):<{label}}{GAP}{_shorten(cell_text(value), room)}".rstrip()
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
    return " ".join(str(value).split())


def _fit(wide: list[int], room: int) -> list[int]:
    fitted = list(wide)
    while sum(fitted) > room:
        can_shrink = [at for at, size in enumerate(fitted) if size > MIN_COLUMN_WIDTH]
        if not can_shrink:
            break
        fitted[max(can_shrink, key=lambda at: (at > 0, fitted[at]))] -= 1
    return fitted


def _line(cells: Sequence[str], wide: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = [
        f"{_shorten(cell, size):>{size}}" if right else f"{_shorten(cell, size):<{size}}"
        for cell, size, right in zip(cells, wide, numeric, strict=True)
    ]
    return GAP.join(parts).rstrip()


def _shorten(text: str, size: int) -> str:
    return text if len(text) <= size else text[: max(0, size - 3)] + "..."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
