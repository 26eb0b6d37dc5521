"""`ohmesh up`: a mesh on this machine, in the foreground."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ohmesh.cli.options import json_option, naming, read_settings, which_mesh_options
from ohmesh.cli.output import Output

if TYPE_CHECKING:
    from ohmesh.assembly.supervisor import Supervisor
    from ohmesh.config import Config

_SETTINGS = {
    "durability": "engine.durability",
    "workers": "mesh.workers",
    "shards": "mesh.shards",
    "nodes": "mesh.nodes",
    "port": "engine.port",
    "profile": "mesh.profile",
    "ledger": "mesh.ledger",
    "api": "api.enabled",
    "agents": "fleet.agents",
    "fleet_hosts": "fleet.hosts",
    "fleet": "fleet.enabled",
    "faults": "fleet.faults",
    "api_port": "api.port",
}
_PROMISES = {
    "interval": "what is acknowledged survives every crash of a process; a power cut can take the last second",
    "fsync": "what is acknowledged survives a power cut",
}


@click.command("up")
@click.option("--durability", type=click.Choice(["interval", "fsync"]), help="What a power cut may take.")
@click.option(
    "--workers", type=click.IntRange(0, 64), metavar="N", help="Workers for the built-in kinds. [default: 1]"
)
@click.option(
    "--shards",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Parts into which the kinds are spread, each with a log and a dispatcher of its own; fixed when the mesh is "
    "first started. [default: 2]",
)
@click.option(
    "--nodes",
    type=click.IntRange(1, 16),
    metavar="N",
    help="Processes that share the dispatchers and take over from each other. [default: 2]",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="Port of the engine; default: a free one."
)
@click.option(
    "--api/--no-api", default=None, help="Serve it over HTTP too, where that is installed. [default: --api]"
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Port for HTTP; default: 7400, or a free one when it is taken.",
)
@click.option(
    "--agents",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Start a demo fleet of so many simulated agents too.",
)
@click.option(
    "--fleet-hosts", type=click.IntRange(1, 64), metavar="N", help="Processes that they live in. [default: 2]"
)
@click.option(
    "--faults",
    metavar="PARTS",
    help="Parts of the simulated agents that are unfit, as in 'dead=0.03, contradicting=0.01'; docs/fleet.md has all.",
)
@click.option("--fleet", is_flag=True, default=None, help="Take part in a fleet without agents of one's own.")
@click.option("--profile", type=click.Choice(["local", "lan", "wan"]), help="Timings. [default: local]")
@click.option(
    "--ledger",
    metavar="URL",
    help="Where history is kept: postgresql://user@host/database or sqlite:///path; default: a file in --data. "
    "OHMESH_LEDGER keeps a password out of the list of processes.",
)
@which_mesh_options
@json_option
def command(config_file: Path | None, as_json: bool, **given: object) -> None:
    """Start a mesh on this machine and keep it running until Ctrl-C.

    Everything it keeps is in one directory; `up` again goes on where it was, whatever happened in between.
    """
    from ohmesh.assembly.supervisor import run_supervisor
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.handlers.built_in import kinds_at_hand

    output = Output(as_json=as_json)
    config = read_settings(given, config_file, _SETTINGS)
    for line in _left_out(config, str(given.get("context_name") or "")):
        output.say(line)
    begun_s = time.monotonic()

    def ready(supervisor: Supervisor) -> None:
        if as_json:
            where = {"api": supervisor.api.said_name} if supervisor.api else {}
            output.event(
                "ready", mesh=config.mesh.name, data=str(supervisor.data.root), url=supervisor.url, **where
            )
        for line in _greeting(supervisor, time.monotonic() - begun_s):
            output.say(line)

    run_in_loop(
        run_supervisor(
            config,
            targets=kinds_at_hand(),
            ready=ready,
            notice=lambda line: output.say(f"{time.strftime('%H:%M:%S')}  {line}"),
        )
    )
    output.say("ended; `ohmesh up` with the same data goes on from here")


def _left_out(config: Config, asked: str) -> list[str]:
    """A context that would count, if nothing stronger named another mesh: who forgot it starts a mesh that is not
    meant."""
    from ohmesh.assembly.contexts import chosen_context

    chosen = chosen_context(asked)
    if chosen is None or config.context:
        return []
    key = "engine.url" if config.engine.url else "mesh.data"
    return [f"the context {chosen.name!r} does not count here: {config.origin(key)} names another mesh"]


def _greeting(supervisor: Supervisor, took_s: float) -> list[str]:
    config = supervisor.config
    which = naming(config)
    durability = f"durability {config.engine.durability}: {_PROMISES[config.engine.durability]}"
    if config.engine.url:
        durability = "durability is decided by the engine's owner"
    workers = "no worker"
    if supervisor.workers:
        count = len(supervisor.workers)
        workers = f"{count} worker{'' if count == 1 else 's'} (kinds: {', '.join(supervisor.targets)})"
    nodes = f"{len(supervisor.nodes)} node{'' if len(supervisor.nodes) == 1 else 's'}"
    shards = f"{supervisor.shards} shard{'' if supervisor.shards == 1 else 's'}"
    return [
        f"mesh {config.mesh.name!r} is up after {took_s:.1f} s: {shards}, {nodes}, {workers}",
        f"  data    {supervisor.data.root}   ({durability})",
        f"  engine  {supervisor.url}",
        *([f"  history {supervisor.ledger}"] if supervisor.ledger else []),
        *_door(supervisor),
        *_fleet(supervisor),
        "  next, in another terminal:",
        *([f"    ohmesh submit text 'What a lovely day!' --wait 10{which}"] if supervisor.workers else []),
        f"    ohmesh worker MODULE:FUNCTION{which}",
        f"    ohmesh status{which}",
        *([f"    ohmesh ping --graph{which}"] if supervisor.fleet else []),
        "  Ctrl-C ends it.",
    ]


def _fleet(supervisor: Supervisor) -> list[str]:
    """The agents of the demo fleet, which are called what they are."""
    from ohmesh.roles.fleet.config import FleetConfig

    settings = supervisor.config.of(FleetConfig)
    if not settings.agents:
        return (
            ["  fleet   no agents yet; those with a connection of their own may join"]
            if settings.enabled
            else []
        )
    sectors = -(-settings.agents // settings.topology.sector_size)
    where = f"{sectors:,} sector{'' if sectors == 1 else 's'}, {len(supervisor.fleet)} processes"
    took = f"ready in {supervisor.fleet_ready_s:.1f} s"
    return [f"  fleet   {settings.agents:,} simulated agents in {where}, {took}"]


def _door(supervisor: Supervisor) -> list[str]:
    """Where it is reached over HTTP, and where its token is; the token itself is never printed."""
    from ohmesh.api.config import DEFAULT_PORT, ApiConfig
    from ohmesh.assembly.api_access import token_path

    settings = supervisor.config.of(ApiConfig)
    if supervisor.api is None:
        return ["  http    not installed: pip install 'ohmesh[api]'"] if settings.enabled else []
    url = supervisor.api.said_name
    taken = "" if settings.port or url.endswith(f":{DEFAULT_PORT}") else f"; port {DEFAULT_PORT} is taken"
    token = token_path(settings, supervisor.data)
    return [f"  http    {url}/v1/docs   (token: {token}{taken})"]
