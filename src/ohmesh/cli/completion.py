"""`ohmesh completion SHELL`: the script that makes a shell complete verbs, options and choices, and names that live.

The script is click's; it asks this program with _OHMESH_COMPLETE set (click/shell_completion.py).
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ohmesh.errors import OhmeshError

VARIABLE = "_OHMESH_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command("completion", epilog="Example, for bash: ohmesh completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete this command.

    bash and zsh read it at their start (~/.bashrc, ~/.zshrc), fish from ~/.config/fish/completions/ohmesh.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click brings these three"
    try:
        source = kind(context.find_root().command, {}, "ohmesh", VARIABLE).source()
    except RuntimeError as error:
        raise OhmeshError(f"There is no completion for this {shell}: {error}") from error
    click.echo(source)
