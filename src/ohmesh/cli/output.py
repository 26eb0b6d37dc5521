"""What a command prints: data on stdout, talk on stderr.

With `--json` stdout carries one JSON document and nothing else. Otherwise people read it: a table for a list of
records, aligned `name  value` lines for one record, the bare text for anything else. Colour is used on a terminal
only, never where NO_COLOR is set, and never carries a meaning that the words do not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

import msgspec

from ohmesh.cli.table import render_record, render_table

MAX_WIDTH = 100


class Output:
    """Where one command writes. `as_json` decides the form of the data, `quiet` silences the talk."""

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        out: TextIO | None = None,
        talk: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._out = out or sys.stdout
        self._talk = talk or sys.stderr

    def data(self, value: object, *, columns: Sequence[str] = ()) -> None:
        """Print a result. `columns` chooses and orders the columns of a table; JSON always shows every field."""
        plain = msgspec.to_builtins(value, enc_hook=str)
        text = to_json(plain) if self.as_json else to_text(plain, columns)
        if text:
            print(text, file=self._out, flush=True)

    def line(self, text: str) -> None:
        """One line on stdout, an empty one too."""
        print(text, file=self._out, flush=True)

    def event(self, event: str, **fields: object) -> None:
        """One line of JSON on stdout, for the programs that started us."""
        print(msgspec.json.encode({"event": event, **fields}).decode(), file=self._out, flush=True)

    def say(self, line: str) -> None:
        """Talk: progress, hints, what to do next."""
        if not self.quiet:
            print(line, file=self._talk, flush=True)

    def error(self, line: str, excerpt: str = "") -> None:
        """One line, whatever it says; below it the `excerpt` of what was typed, as it is."""
        label = "error:"
        if uses_colour(self._talk):
            label = f"\x1b[1;31m{label}\x1b[0m"
        print(f"{label} {' '.join(line.split())}", file=self._talk, flush=True)
        if excerpt:
            print(excerpt, file=self._talk, flush=True)


def to_json(plain: object) -> str:
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def to_text(plain: object, columns: Sequence[str] = ()) -> str:
    if isinstance(plain, Mapping):
        return render_record({str(name): value for name, value in plain.items()}, width=MAX_WIDTH)
    if isinstance(plain, list) and plain and all(isinstance(row, Mapping) for row in plain):
        return render_table(plain, columns=columns, width=MAX_WIDTH)
    if isinstance(plain, list):
        return "\n".join(to_text(item) for item in plain)
    return "" if plain is None else str(plain)


def uses_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
