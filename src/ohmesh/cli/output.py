"""What a command prints: data on stdout, talk on stderr.

`--output` chooses the form of the data. `table` is for people: a table for a list of records, aligned `name  value`
lines for one record, the bare text for anything else. The others are for programs: `json` is one document with every
field, `jsonl` one object on a line for each record, `csv` a line of names and then one for each record (RFC 4180;
values exactly as they are, nested ones as JSON). Colour is used on a terminal only, never where NO_COLOR is set, and
never carries a meaning that the words do not.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TextIO

import msgspec

from ohmesh.cli.table import render_record, render_table

MAX_WIDTH = 100
MIN_WIDTH = 60


class OutputForm(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class Output:
    """Where one command writes. `as_json` is short for the form `json`; `quiet` silences the talk.

    fields: the columns that a person chose. source: rows with all fields, in the order of the rows that are shown; a
    chosen column that a table does not have is taken from there. is_drawn: a picture is wanted where there is one.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        form: OutputForm = OutputForm.TABLE,
        quiet: bool = False,
        out: TextIO | None = None,
        talk: TextIO | None = None,
    ) -> None:
        self.form = OutputForm.JSON if as_json else form
        self.quiet = quiet
        self.is_drawn = False
        self.fields: Sequence[str] = ()
        self.source: Sequence[Mapping[str, object]] = ()
        self.out = out or sys.stdout
        self.talk = talk or sys.stderr

    @property
    def as_json(self) -> bool:
        return self.form is OutputForm.JSON

    @property
    def width(self) -> int:
        """Columns that there are: those of the terminal, within bounds; where there is none, a hundred."""
        if not self.out.isatty():
            return MAX_WIDTH
        return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns))

    def data(self, value: object, *, columns: Sequence[str] = ()) -> None:
        """Print a result. `columns` chooses and orders the columns of a table; JSON always shows every field."""
        plain = msgspec.to_builtins(value, enc_hook=str)
        text = to_json(plain) if self.as_json else self._text(plain, columns)
        if text:
            print(text, file=self.out, flush=True)

    def rows(self, rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> None:
        """Print records one to a line, as jsonl or csv."""
        text = to_csv(rows, names) if self.form is OutputForm.CSV else to_json_lines(rows)
        self.out.write(text)
        self.out.flush()

    def further_row(self, row: Mapping[str, object], names: Sequence[str]) -> None:
        """One more line of csv below those that `rows` has begun."""
        self.out.write(to_csv([row], names).partition("\r\n")[2])
        self.out.flush()

    def line(self, text: str) -> None:
        """One line on stdout, an empty one too."""
        print(text, file=self.out, flush=True)

    def event(self, event: str, **fields: object) -> None:
        """One line of JSON on stdout, for the programs that started us."""
        print(msgspec.json.encode({"event": event, **fields}).decode(), file=self.out, flush=True)

    def say(self, line: str) -> None:
        """Talk: progress, hints, what to do next."""
        if not self.quiet:
            print(line, file=self.talk, flush=True)

    def error(self, line: str, excerpt: str = "") -> None:
        """One line, whatever it says; below it the `excerpt` of what was typed, as it is."""
        label = "error:"
        if uses_colour(self.talk):
            label = f"\x1b[1;31m{label}\x1b[0m"
        print(f"{label} {' '.join(line.split())}", file=self.talk, flush=True)
        if excerpt:
            print(excerpt, file=self.talk, flush=True)

    def _text(self, plain: object, columns: Sequence[str]) -> str:
        if self.fields and isinstance(plain, list) and len(plain) == len(self.source):
            rows = [{**whole, **shown} for whole, shown in zip(self.source, plain, strict=True)]
            return render_table(rows, columns=self.fields, width=self.width, is_chosen=True) if rows else ""
        return to_text(plain, columns, width=self.width)


def to_json(plain: object) -> str:
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def to_json_lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{msgspec.json.encode(row).decode()}\n" for row in rows)


def to_csv(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(names)
    writer.writerows([_csv_cell(row.get(name)) for name in names] for row in rows)
    return written.getvalue()


def to_text(plain: object, columns: Sequence[str] = (), *, width: int = MAX_WIDTH) -> str:
    if isinstance(plain, Mapping):
        return render_record({str(name): value for name, value in plain.items()}, width=width)
    if isinstance(plain, list) and plain and all(isinstance(row, Mapping) for row in plain):
        return render_table(plain, columns=columns, width=width)
    if isinstance(plain, list):
        return "\n".join(to_text(item, width=width) for item in plain)
    return "" if plain is None else str(plain)


def uses_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
