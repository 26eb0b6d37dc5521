"""Options that many commands share, so that each means and reads the same everywhere."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ohmesh.cli.output import Output, OutputForm
from ohmesh.errors import InvalidArgument

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ohmesh.config import Config

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Decorator = Callable[[Decorated], Decorated]

# Name of the parameter -> key of the setting that its flag sets (config.py).
SETTING_OF = {
    "url": "engine.url",
    "seed_file": "engine.seed_file",
    "data": "mesh.data",
    "mesh": "mesh.name",
    "profile": "mesh.profile",
}
_FORM_OPTIONS = ("--output", "-o")


def json_option(function: Decorated) -> Decorated:
    said = 'Print the result as JSON on stdout; an error as {"error": {"code", "message", "hint"}}.'
    return click.option("--json", "as_json", is_flag=True, help=said)(function)


def output_options(function: Decorated) -> Decorated:
    """--output, --json, --fields, --quiet: in which form data is printed; `output_of` reads them."""
    return _with_options(
        function,
        click.option(
            "--output",
            "-o",
            "output_form",
            type=click.Choice([form.value for form in OutputForm]),
            help="Form of the data on stdout. [default: table]",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help='Short for --output json; an error is {"error": {"code", "message", "hint"}}.',
        ),
        click.option(
            "--fields", "field_list", metavar="A,B", default="", help="Show these fields only, in this order."
        ),
        click.option("--quiet", "-q", "is_quiet", is_flag=True, help="Print data and errors, no talk."),
    )


def output_of(given: Mapping[str, object]) -> Output:
    """Where and how a command prints that has the `output_options`."""
    form = OutputForm(str(given["output_form"] or OutputForm.TABLE))
    if given["as_json"] and given["output_form"] and form is not OutputForm.JSON:
        raise InvalidArgument(f"--json and --output {form} contradict each other.", hint="Give one of them.")
    return Output(as_json=bool(given["as_json"]), form=form, quiet=bool(given["is_quiet"]))


def typed_form(words: Sequence[str]) -> OutputForm:
    """The form that a command line asks for, read from its words: it may be wrong in everything else."""
    options = words[: words.index("--")] if "--" in words else words
    if "--json" in options:
        return OutputForm.JSON
    for at, word in enumerate(options):
        if word in _FORM_OPTIONS:
            value = "".join(options[at + 1 : at + 2])
        else:
            value = (
                word.removeprefix("--output=") if word.startswith("--output=") else word.removeprefix("-o")
            )
        if value != word and value in (OutputForm.JSON, OutputForm.JSONL):
            return OutputForm(value)
    return OutputForm.TABLE


def which_mesh_options(function: Decorated) -> Decorated:
    """--url, --seed-file, --data, --mesh, --context, --config: which mesh a command speaks to; `read_settings` reads
    them."""
    return _with_options(
        function,
        click.option("--url", metavar="URL", help="Address of the engine; default: the mesh of --data."),
        click.option("--seed-file", metavar="FILE", help="The key that the engine at --url knows you by."),
        click.option("--data", metavar="DIR", help="Data directory of the mesh."),
        click.option("--mesh", metavar="NAME", help="Name of the mesh."),
        click.option(
            "--context",
            "context_name",
            metavar="NAME",
            default="",
            help="A mesh that `ohmesh context` knows.",
            shell_complete=_complete_context,
        ),
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Settings; default: ohmesh.toml here, when there is one.",
        ),
    )


def read_settings(
    given: Mapping[str, object], file: Path | None, names: Mapping[str, str] | None = None
) -> Config:
    """The settings of a command that has the `which_mesh_options`; `names`: of its own flags that set something."""
    from ohmesh.assembly.settings import resolve_settings

    return resolve_settings(as_flags(given, names), file=file, context=str(given.get("context_name") or ""))


def naming(config: Config) -> str:
    """What to say behind `ohmesh VERB`, in any directory, to mean the mesh of these settings."""
    said: dict[str, str] = {}
    if config.context:
        said["--context"] = config.context
    elif config.engine.url:
        said |= {"--url": config.engine.url, "--seed-file": _absolute(config.engine.seed_file)}
    elif config.mesh.data:
        said["--data"] = _absolute(config.mesh.data)
    if config.mesh.name != "default" and not config.origin("mesh.name").startswith("context "):
        said["--mesh"] = config.mesh.name
    return "".join(f" {option} {shlex.quote(value)}" for option, value in said.items() if value)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""


def as_flags(given: Mapping[str, object], names: Mapping[str, str] | None = None) -> dict[str, object]:
    """Turn the parameters that were given into settings: {"mesh.data": ...}; those left out set nothing."""
    wanted = {**SETTING_OF, **(names or {})}
    return {wanted[name]: value for name, value in given.items() if name in wanted and value is not None}


def _complete_context(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    from ohmesh.cli.live_names import complete_context

    return complete_context(context, parameter, begun)


def _with_options(function: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    for option in reversed(options):
        function = option(function)
    return function
