"""`ohmesh node`: a process for dispatchers and the projector. `ohmesh up` starts it, so help does not list it."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.cli.options import read_settings, which_mesh_options
from ohmesh.cli.output import Output


@click.command("node", hidden=True)
@click.option("--name", default="node", help="Its name, made unique by its pid.")
@click.option("--parent", type=click.INT, default=0, hidden=True, help="The process with which it ends.")
@which_mesh_options
def command(name: str, parent: int, config_file: Path | None, **given: object) -> None:
    """Run the roles of a mesh until SIGTERM."""
    from ohmesh.assembly.node import run_node
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.assembly.termination import tie_to_parent

    tie_to_parent(parent)
    output = Output(as_json=True)
    run_in_loop(
        run_node(
            read_settings(given, config_file),
            name=name,
            ready=lambda full_name: output.event("ready", name=full_name),
            respawn=lambda process: output.event("respawn", name=process),
            notice=output.say,
        )
    )
