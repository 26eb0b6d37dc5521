"""`ohmesh down`: ends the mesh that runs in a data directory, from any terminal."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import json_option, read_settings, which_mesh_options
from ohmesh.cli.output import Output


@click.command("down")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0.1, 3_600), default=30.0, show_default=True, metavar="SECONDS",
    help="Wait this long for its end.",
)  # fmt: skip
@which_mesh_options
@json_option
def command(wait_s: float, config_file: Path | None, as_json: bool, **given: object) -> int:
    """End the mesh that `ohmesh up` started here, and wait until it has.

    Running tasks may finish or are handed back; everything goes on with the next `ohmesh up`.
    """
    from ohmesh.assembly.settings import data_directory
    from ohmesh.assembly.standing import end_running

    output = Output(as_json=as_json)
    data = data_directory(read_settings(given, config_file))
    pid = end_running(data, patience_s=wait_s)
    if as_json:
        output.data({"data": str(data.root), "pid": pid, "ended": bool(pid)})
    else:
        output.say(
            f"ended the mesh in {data.root} (process {pid})" if pid else f"no mesh runs in {data.root}"
        )
    return ExitCode.OK if pid else ExitCode.NOTHING_MATCHED
