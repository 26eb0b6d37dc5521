"""`ohmesh tasks stream` and `ohmesh submit --stream`: an item to a line, as it comes; in every form for programs but
csv each line is the item as JSON, with its attempt and number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Struct

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.rows import chosen
from ohmesh.mesh import Mesh
from ohmesh.mesh.async_mesh import Opening
from ohmesh.mesh.background import stepped
from ohmesh.operations.arguments import StreamTask, Submit
from ohmesh.operations.streams import items_within
from ohmesh.operations.tasks import submit
from ohmesh.roles.client_stream import StreamItem


def run(opening: Opening, arguments: Struct, given: Mapping[str, object], output: Output) -> int:
    """As long as the task yields; with --wait not longer."""
    if output.form is OutputForm.CSV:
        output.rows([], _names(output))
    with Mesh(opening) as mesh:
        task_id = _task_id(mesh, arguments, output)
        wait_s = cast("float | None", given.get("wait_s"))
        is_begun = False
        for item in _items(mesh, task_id, wait_s):
            if is_begun and item.number == 0:
                output.say(f"attempt {item.attempt} begins anew: what stands above is of another one")
            is_begun = True
            _print(item, output)
    return ExitCode.OK


def _task_id(mesh: Mesh, arguments: Struct, output: Output) -> str:
    if not isinstance(arguments, Submit):
        return cast("StreamTask", arguments).task_id
    receipt = mesh.background.run(submit(mesh.mesh.client, msgspec.structs.replace(arguments, wait_s=0.0)))
    output.say(f"{receipt.task_id} is submitted; its items follow")
    return receipt.task_id


def _items(mesh: Mesh, task_id: str, wait_s: float | None) -> Iterator[StreamItem]:
    yield from stepped(mesh.background, items_within(mesh.mesh.client, task_id, wait_s))


def _print(item: StreamItem, output: Output) -> None:
    if output.form is OutputForm.TABLE and not output.fields:
        value = item.value
        is_line = isinstance(value, str) and value.splitlines() == [value]
        output.line(str(value) if is_line else msgspec.json.encode(value, enc_hook=str).decode())
        return
    row = chosen(msgspec.to_builtins(item, enc_hook=str), _names(output))
    if output.form is OutputForm.CSV:
        output.further_row(row, _names(output))
    else:
        output.line(msgspec.json.encode(row).decode())


def _names(output: Output) -> Sequence[str]:
    return output.fields or StreamItem.__struct_fields__
