"""`ohmesh fleet-host`: a process of simulated agents. `ohmesh up --agents` starts it, so help does not list it."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.cli.options import read_settings, which_mesh_options
from ohmesh.cli.output import Output


@click.command("fleet-host", hidden=True)
@click.option("--name", default="fleet", help="Its name.")
@click.option("--first", type=click.IntRange(0), required=True, help="Row of its first agent.")
@click.option("--count", type=click.IntRange(1), required=True, help="How many agents live in it.")
@click.option("--skew-ms", type=click.FLOAT, default=0.0, help="How wrong its clock is.")
@click.option("--drift-ppm", type=click.FLOAT, default=0.0, help="How fast its clock gains.")
@click.option(
    "--dead", type=click.FloatRange(0, 1), default=0.0, help="Part of its agents that never answer."
)
@click.option("--lying", type=click.FloatRange(0, 1), default=0.0, help="Part that reports conflicts.")
@click.option("--witness", type=click.Path(path_type=Path), help="Where true times of readiness are written.")
@click.option(
    "--remote", "is_remote", is_flag=True, help="They have connections of their own; none is simulated."
)
@click.option("--parent", type=click.INT, default=0, hidden=True, help="The process with which it ends.")
@which_mesh_options
def command(
    name: str,
    parent: int,
    config_file: Path | None,
    first: int,
    count: int,
    skew_ms: float,
    drift_ppm: float,
    dead: float,
    lying: float,
    witness: Path | None,
    is_remote: bool,
    **given: object,
) -> None:
    """Run simulated agents until SIGTERM."""
    from ohmesh.assembly.fleet_host import SimulatedHost, run_fleet_host
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.assembly.termination import tie_to_parent

    tie_to_parent(parent)
    output = Output(as_json=True)
    simulated = SimulatedHost(
        first=first,
        count=count,
        skew_ms=skew_ms,
        drift_ppm=drift_ppm,
        dead=dead,
        lying=lying,
        witness=witness,
        is_remote=is_remote,
    )
    run_in_loop(
        run_fleet_host(
            read_settings(given, config_file),
            simulated,
            name=name,
            ready=lambda full_name: output.event("ready", name=full_name),
            notice=output.say,
        )
    )
