"""Asking before something that is hard to take back: on stderr, with the mesh that is meant in front.

Nobody there to answer is a no, and so are Ctrl-C and `--no-input`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ohmesh.config import Config


def named_mesh(settings: Config) -> str:
    """ "mesh 'default'", with the context that said so."""
    by = f" (context {settings.context!r})" if settings.context else ""
    return f"mesh {settings.mesh.name!r}{by}"


def is_confirmed(question: str, *, may_ask: bool) -> bool:
    if not may_ask:
        return False
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        return False
