"""Options that many commands share, so that each means and reads the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Decorator = Callable[[Decorated], Decorated]

# Name of the parameter -> key of the setting that its flag sets (config.py).
SETTING_OF = {"url": "engine.url", "data": "mesh.data", "mesh": "mesh.name", "profile": "mesh.profile"}


def json_option(function: Decorated) -> Decorated:
    said = 'Print the result as JSON on stdout; an error as {"error": {"code", "message", "hint"}}.'
    return click.option("--json", "as_json", is_flag=True, help=said)(function)


def which_mesh_options(function: Decorated) -> Decorated:
    """--url, --data, --mesh, --config: which mesh a command speaks to."""
    for option in reversed(
        (
            click.option("--url", metavar="URL", help="Address of the engine; default: the mesh of --data."),
            click.option("--data", metavar="DIR", help="Data directory of the mesh."),
            click.option("--mesh", metavar="NAME", help="Name of the mesh."),
            click.option(
                "--config",
                "config_file",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="Settings; default: ohmesh.toml here, when there is one.",
            ),
        )
    ):
        function = option(function)
    return function


def as_flags(parameters: dict[str, object], names: dict[str, str] | None = None) -> dict[str, object]:
    """Turn the parameters that were given into settings: {"mesh.data": ...}; those left out set nothing."""
    wanted = {**SETTING_OF, **(names or {})}
    return {wanted[name]: value for name, value in parameters.items() if name in wanted and value is not None}
