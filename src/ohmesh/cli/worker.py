"""`ohmesh worker module:object ...`: the newcomer's own code joins the mesh."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.cli.options import json_option, read_settings, which_mesh_options
from ohmesh.cli.output import Output

EPILOG = """\b
Examples:
  ohmesh worker my_agents               every @agent function of my_agents.py
  ohmesh worker my_agents:summarise     one of them
  ohmesh worker text function           built-in kinds
  ohmesh worker image http --allow-host 127.0.0.1:8080 --allow-host .example.org
  ohmesh worker function --allow statistics --allow my_library
  ohmesh worker text --text-model ./my-model --concurrency 1"""

_SETTINGS = {
    "concurrency": "runner.sync_processes",
    "allow_modules": "handlers.allow_modules",
    "allow_hosts": "handlers.allow_hosts",
    "text_model": "handlers.text_model",
}


@click.command("worker", epilog=EPILOG)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--name", help="Name of this worker; default: this machine's name and the pid.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes for plain functions; default: cores.",
)
@click.option(
    "--allow",
    "allow_modules",
    multiple=True,
    metavar="MODULE",
    help="A module that kind function may call into; repeatable. [default: none]",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST",
    help="A host that kind http may reach, with or without :port; .example.org is all below it; repeatable. "
    "[default: none]",
)
@click.option(
    "--text-model",
    metavar="DIRECTORY",
    help="A model of Transformers by which kind text reads, as save_pretrained wrote it; never downloaded. "
    "[default: a lexicon]",
)
@click.option("--parent", type=click.INT, default=0, hidden=True)
@which_mesh_options
@json_option
def command(
    targets: tuple[str, ...],
    name: str | None,
    parent: int,
    config_file: Path | None,
    as_json: bool,
    **given: object,
) -> None:
    """Run your @agent functions as a worker of a mesh, until Ctrl-C.

    TARGET is module:object, a module, or a built-in kind (text, function, image, http). It runs in processes of its
    own; when the mesh goes away, the worker waits and comes back by itself.
    """
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.assembly.termination import tie_to_parent
    from ohmesh.assembly.worker import run_worker

    tie_to_parent(parent)
    output = Output(as_json=as_json)

    def joined(host: str) -> None:
        if as_json:
            output.event("ready", name=host)
            return
        output.say(f"{host} joined the mesh with {', '.join(targets)}; Ctrl-C ends it")

    said = {name: value for name, value in given.items() if value != ()}
    config = read_settings(said, config_file, _SETTINGS)
    run_in_loop(run_worker(config, targets, name=name or "", joined=joined, notice=output.say))
    if not parent:
        output.say("ended")
