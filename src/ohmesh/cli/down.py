"""`ohmesh down`: ends the mesh that runs in a data directory, from any terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import json_option, read_settings, which_mesh_options
from ohmesh.cli.output import Output
from ohmesh.errors import InvalidArgument

if TYPE_CHECKING:
    from ohmesh.config import Config


@click.command("down")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0.1, 3_600), default=30.0, show_default=True, metavar="SECONDS",
    help="Wait this long for its end.",
)  # fmt: skip
@which_mesh_options
@json_option
def command(wait_s: float, config_file: Path | None, as_json: bool, **given: object) -> int:
    """End the mesh that `ohmesh up` started here, and wait until it has.

    Of a mesh whose engine runs elsewhere, this machine's part is ended and the rest goes on; where this machine has no
    part in it, nothing is ended. Running tasks may finish or are handed back; everything goes on with the next
    `ohmesh up`.
    """
    from ohmesh.assembly.settings import data_directory
    from ohmesh.assembly.standing import end_running

    output = Output(as_json=as_json)
    config = read_settings(given, config_file)
    data, url = data_directory(config), config.engine.url
    pid = end_running(data, patience_s=wait_s)
    if url and not pid:
        raise _elsewhere(config)
    if as_json:
        output.data({"data": str(data.root), "pid": pid, "ended": bool(pid)})
    else:
        part = f"this machine's part of the mesh at {url}" if url else f"the mesh in {data.root}"
        output.say(f"ended {part} (process {pid})" if pid else f"no mesh runs in {data.root}")
    return ExitCode.OK if pid else ExitCode.NOTHING_MATCHED


def _elsewhere(config: Config) -> InvalidArgument:
    """Who names a mesh of another machine does not mean that of this one."""
    from ohmesh.assembly.data_directory import default_data_directory

    by = f" (context {config.context!r})" if config.context else ""
    here = default_data_directory(config.mesh.name)
    return InvalidArgument(
        f"The mesh at {config.engine.url}{by} runs elsewhere and no part of it here; nothing was ended.",
        hint=f"End it where it runs. The mesh of this machine ends by `ohmesh down --data {here}`.",
    )
