"""`ohmesh map`: items from the command line, a file or standard input; results as lines in their order.

With --json it is one document at the end; with --output jsonl or csv each line is the whole outcome of an item. In the
form for people an item without a value leaves an empty line, and what happened to it is said on stderr, so the lines of
input and output stay beside each other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TextIO, cast

import msgspec

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.progress_line import ProgressLine, is_shown_to
from ohmesh.cli.rows import chosen, narrowed
from ohmesh.cli.verbs import json_or_text
from ohmesh.errors import InvalidArgument
from ohmesh.mesh import Mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.task import TaskState
from ohmesh.operations.arguments import MapTasks
from ohmesh.operations.mapping import MappedTasks, counted
from ohmesh.operations.results import TaskOutcome

PROGRESS_S = 0.5
SHOWN_IDS = 20


def run(opening: Opening, arguments: MapTasks, given: Mapping[str, object], output: Output) -> int:
    items: Iterable[object] = arguments.items or _lines(cast("TextIO | None", given.get("input_file")))
    outcomes: list[TaskOutcome] = []
    line, is_seen = ProgressLine(output.talk), is_shown_to(output)
    shares_terminal, failed = output.out.isatty(), 0
    began_s = shown_s = time.monotonic()
    if output.form is OutputForm.CSV:
        output.rows([], _names(output))
    with line, Mesh(opening) as mesh:
        for number, outcome in enumerate(_mapped(mesh, items, arguments), 1):
            failed += counted([outcome]).failed
            if shares_terminal or failed:
                line.erase()
            outcomes.append(outcome if output.as_json else msgspec.structs.replace(outcome, value=None))
            if output.form is OutputForm.TABLE and not output.fields:
                _print(number, outcome, output, wait_s=arguments.wait_s)
            elif not output.as_json:
                _print_row(outcome, output)
            if is_seen and (shares_terminal or time.monotonic() - shown_s >= PROGRESS_S):
                shown_s = time.monotonic()
                line.show(progress(number, failed, shown_s - began_s))
    mapped = counted(outcomes)
    if output.as_json:
        output.data(narrowed(mapped, output.fields) if output.fields else mapped)
    elif mapped.failed or (arguments.wait_s and mapped.unfinished):
        output.say(_told(mapped))
    return judge(mapped, is_awaited=arguments.wait_s > 0)


def progress(count: int, failed: int, elapsed_s: float) -> str:
    """ "120 results, 3 of them failed, 4.0 s"."""
    without = f", {failed} of them failed" if failed else ""
    return f"{count} result{'' if count == 1 else 's'}{without}, {duration(elapsed_s * 1000)}"


def judge(mapped: MappedTasks, *, is_awaited: bool = True) -> ExitCode:
    """All, some or none of the items have what was asked for: a value, or without waiting an id."""
    good = mapped.succeeded + (0 if is_awaited else mapped.unfinished)
    if good == len(mapped.outcomes):
        return ExitCode.OK
    return ExitCode.PARTIAL if good or mapped.unfinished else ExitCode.FAILED


def _mapped(mesh: Mesh, items: Iterable[object], arguments: MapTasks) -> Iterable[TaskOutcome]:
    return mesh.map(
        arguments.kind,
        items,
        priority=arguments.priority,
        timeout=arguments.timeout_s or None,
        retries=None if arguments.retries < 0 else arguments.retries,
        delay=arguments.delay_s,
        requires=arguments.requires,
        wait=arguments.wait_s,
    )


def _lines(file: TextIO | None) -> Iterator[object]:
    if file is None and sys.stdin.isatty():
        raise InvalidArgument(
            "There is nothing to map.", hint="Name items, or --input FILE, or pipe lines into it."
        )
    for line in file or sys.stdin:
        yield json_or_text(line.rstrip("\r\n"))


def _told(mapped: MappedTasks) -> str:
    unfinished = [one.task_id for one in mapped if not one.is_final and one.failure is None]
    later = f"; later: ohmesh tasks wait {' '.join(unfinished[:SHOWN_IDS])}" if unfinished else ""
    more = len(unfinished) - SHOWN_IDS
    return f"{mapped}{later}{f' and {more} more, named above' if more > 0 else ''}"


def _print(number: int, outcome: TaskOutcome, output: Output, *, wait_s: float) -> None:
    """One line of stdout for each item, whatever became of it; an id only where ids are what was asked for."""
    if outcome.state is TaskState.SUCCEEDED:
        value = outcome.value
        is_line = isinstance(value, str) and value.splitlines() == [value]
        output.line(str(value) if is_line else msgspec.json.encode(value, enc_hook=str).decode())
    elif outcome.is_final or outcome.failure is not None:
        output.line("")
        output.error(f"Item {number}: {str(outcome).rstrip('.')}.")
    elif not wait_s:
        output.line(outcome.task_id)
    else:
        output.line("")
        output.error(f"Item {number}: {outcome.task_id} has not ended within {wait_s:g} s.")


def _print_row(outcome: TaskOutcome, output: Output) -> None:
    row = chosen(msgspec.to_builtins(outcome, enc_hook=str), _names(output))
    if output.form is OutputForm.CSV:
        output.further_row(row, _names(output))
    else:
        output.line(msgspec.json.encode(row).decode())


def _names(output: Output) -> Sequence[str]:
    return output.fields or TaskOutcome.__struct_fields__
