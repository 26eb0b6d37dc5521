"""A result in the form that was asked for: what goes to stdout follows from `--output` and `--fields`.

The talk of a form for people (how to go on, what was left out) is said on stderr with jsonl and csv too, because a
page that ends early must never look like the whole.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from msgspec import Struct

from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.rows import chosen, field_names, narrowed, rows_of

Show = Callable[..., None]


def print_result(result: Struct, output: Output, show: Show, columns: Sequence[str]) -> None:
    """`show` is the form for people; `columns` are those of its table, none where it is no table of the rows."""
    if output.as_json:
        output.data(narrowed(result, output.fields) if output.fields else result)
    elif output.form is not OutputForm.TABLE:
        _print_lines(result, output)
        show(result, _talk_of(output))
    elif not output.fields:
        show(result, output)
    elif columns:
        output.source = rows_of(result)
        show(result, output)
    else:
        output.source = rows_of(result)
        output.data([chosen(row, output.fields) for row in output.source])
        show(result, _talk_of(output))


def _print_lines(result: Struct, output: Output) -> None:
    rows = rows_of(result)
    if output.fields:
        rows = [chosen(row, output.fields) for row in rows]
    output.rows(rows, output.fields or field_names(type(result)))


def _talk_of(output: Output) -> Output:
    """The same, with nowhere to write data to."""
    return Output(quiet=output.quiet, out=io.StringIO(), talk=output.talk)
