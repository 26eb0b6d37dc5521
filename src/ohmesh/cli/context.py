"""`ohmesh context`: names for the meshes that a person works with, and which one is meant when nothing else is said."""

from __future__ import annotations

from pathlib import Path

import click

from ohmesh.assembly.contexts import Contexts, Place, chosen_context, read_contexts, write_contexts
from ohmesh.cli.live_names import complete_context
from ohmesh.cli.options import json_option
from ohmesh.cli.output import Output
from ohmesh.cli.verbs import VerbGroup
from ohmesh.errors import InvalidArgument


@click.group("context", cls=VerbGroup)
def command() -> None:
    """Name the meshes you work with, and choose one.

    Stronger than the current one: --context NAME, OHMESH_CONTEXT, and what names a mesh directly (--url, --data).
    """


@command.command("add")
@click.argument("name")
@click.option("--url", default="", metavar="URL", help="Address of its engine.")
@click.option("--seed-file", default="", metavar="FILE", help="The key that its engine knows you by.")
@click.option("--data", default="", metavar="DIR", help="Its data directory, for one of this machine.")
@click.option("--mesh", default="", metavar="NAME", help="Its name, where it is not 'default'.")
@json_option
def add(name: str, url: str, seed_file: str, data: str, mesh: str, as_json: bool) -> None:
    """Remember a mesh as NAME."""
    if not url and not data:
        raise InvalidArgument(
            f"Where is the mesh of context {name!r}?",
            hint="Say --url URL, or --data DIR for one of this machine.",
        )
    place = Place(url, _absolute(seed_file), _absolute(data), mesh)
    contexts = read_contexts().with_place(name, place)
    if len(contexts.contexts) == 1:
        contexts = contexts.using(name)
    write_contexts(contexts)
    _show(contexts, Output(as_json=as_json))


@command.command("use")
@click.argument("name", default="", shell_complete=complete_context)
@click.option("--none", "leave", is_flag=True, help="Leave none current.")
@json_option
def use(name: str, leave: bool, as_json: bool) -> None:
    """Make NAME the current context."""
    if bool(name) == leave:
        raise InvalidArgument("It is not clear which context to use.", hint="Give a NAME, or --none.")
    contexts = read_contexts().using(name)
    write_contexts(contexts)
    _show(contexts, Output(as_json=as_json))


@command.command("list")
@json_option
def show(as_json: bool) -> None:
    """List the contexts; the one that is meant now is marked."""
    _show(read_contexts(), Output(as_json=as_json))


@command.command("remove")
@click.argument("name", shell_complete=complete_context)
@json_option
def remove(name: str, as_json: bool) -> None:
    """Forget NAME; the mesh and its data stay as they are."""
    contexts = read_contexts().without(name)
    write_contexts(contexts)
    _show(contexts, Output(as_json=as_json))


def _show(contexts: Contexts, output: Output) -> None:
    if output.as_json:
        output.data(contexts)
        return
    meant = chosen_context()
    rows = [
        {
            "context": name,
            "meant": "now" if meant is not None and meant.name == name else "",
            "url": place.url,
            "data": place.data,
            "mesh": place.mesh,
            "seed file": place.seed_file,
        }
        for name, place in sorted(contexts.contexts.items())
    ]
    output.data(rows)
    if not rows:
        output.say("no contexts; remember a mesh: ohmesh context add NAME --url URL --seed-file FILE")


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""
