"""`ohmesh events`: a line for each event; in every form for programs but csv each line is the event as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.rows import chosen
from ohmesh.mesh import Mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.model.event import Event
from ohmesh.operations.arguments import ReadEvents
from ohmesh.operations.events import read_events


def run(opening: Opening, arguments: ReadEvents, given: Mapping[str, object], output: Output) -> int:
    """With --follow up to `limit` events where that was given, else for ever."""
    if output.form is OutputForm.CSV:
        output.rows([], _names(output))
    with Mesh(opening) as mesh:
        if given.get("follow"):
            limit = arguments.limit if given.get("limit") else 0
            for count, event in enumerate(mesh.events(after=arguments.after, filter=arguments.filter), 1):
                _print(event, output)
                if count == limit:
                    break
            return ExitCode.OK
        page = mesh.background.run(read_events(mesh.mesh.client, arguments))
    for event in page:
        _print(event, output)
    output.say(f"further: --after {page.after}")
    return ExitCode.NOTHING_MATCHED if page.filter and not page.events else ExitCode.OK


def _print(event: Event, output: Output) -> None:
    if output.form is not OutputForm.TABLE or output.fields:
        row = chosen(msgspec.to_builtins(event), _names(output))
        if output.form is OutputForm.CSV:
            output.further_row(row, _names(output))
        else:
            output.line(msgspec.json.encode(row).decode())
        return
    moment = datetime.fromtimestamp(event.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    output.line(f"{moment.replace('+00:00', 'Z')} {event}")


def _names(output: Output) -> Sequence[str]:
    return output.fields or Event.__struct_fields__
