"""Contexts: names for the meshes that a person works with, and which one is current; kept in one private file.

The file is `contexts.json` in the user's configuration directory (XDG_CONFIG_HOME), readable by its owner only and
replaced in one step. It says where a mesh is and which file holds the key; it never holds a key itself.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import platformdirs
from msgspec import Struct

from ohmesh.config import CONTEXT_VARIABLE, Context, ContextRank
from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import InvalidArgument, OhmeshError
from ohmesh.model.subject import checked_name

__all__ = [
    "Contexts",
    "Place",
    "chosen_context",
    "contexts_file",
    "read_contexts",
    "write_contexts",
    "write_private",
]

MAX_CONTEXTS = 1_000


class Place(Struct, frozen=True, omit_defaults=True):
    """Which mesh a context means; "" leaves it to the defaults. Paths are absolute."""

    url: str = ""
    seed_file: str = ""
    data: str = ""
    mesh: str = ""

    def settings(self) -> dict[str, object]:
        said = {
            "engine.url": self.url,
            "engine.seed_file": self.seed_file,
            "mesh.data": self.data,
            "mesh.name": self.mesh,
        }
        return {key: value for key, value in said.items() if value}


class Contexts(Struct, frozen=True):
    """All of them by name; `current` is "" where none was chosen."""

    current: str = ""
    contexts: dict[str, Place] = {}

    def place(self, name: str) -> Place:
        place = self.contexts.get(name)
        if place is None:
            near = difflib.get_close_matches(name, self.contexts, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise InvalidArgument(
                f"There is no context {name!r}.", hint=f"{meant}`ohmesh context list` shows those that exist."
            )
        return place

    def with_place(self, name: str, place: Place) -> Contexts:
        checked_name(name, "context name")
        if name in self.contexts:
            raise InvalidArgument(
                f"There is a context {name!r} already.",
                hint=f"Take another name, or say `ohmesh context remove {name}` first.",
            )
        if len(self.contexts) >= MAX_CONTEXTS:
            raise InvalidArgument(f"There are {MAX_CONTEXTS} contexts already.", hint="Remove some.")
        return Contexts(self.current, {**self.contexts, name: place})

    def without(self, name: str) -> Contexts:
        self.place(name)
        kept = {one: place for one, place in self.contexts.items() if one != name}
        return Contexts("" if self.current == name else self.current, kept)

    def using(self, name: str) -> Contexts:
        """`name` becomes current; "" leaves none current."""
        if name:
            self.place(name)
        return Contexts(name, self.contexts)


def contexts_file() -> Path:
    return Path(platformdirs.user_config_dir("ohmesh")) / "contexts.json"


def read_contexts() -> Contexts:
    path = contexts_file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contexts)
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidArgument(
            f"The contexts in {path} cannot be read: {error}.", hint="Mend the file, or remove it."
        ) from error


def write_contexts(contexts: Contexts) -> None:
    path = contexts_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, msgspec.json.format(msgspec.json.encode(contexts)) + b"\n")
    except OSError as error:
        raise OhmeshError(
            f"The contexts cannot be written to {path}: {error.strerror or error}.",
            hint="Mend the permissions of that directory.",
        ) from error


def chosen_context(name: str = "", environ: Mapping[str, str] | None = None) -> Context | None:
    """The one named, else that of OHMESH_CONTEXT, else the current one; None where there is none."""
    from_environment = (os.environ if environ is None else environ).get(CONTEXT_VARIABLE, "")
    contexts = read_contexts()
    for candidate, rank in (
        (name, ContextRank.FLAG),
        (from_environment, ContextRank.ENVIRONMENT),
        (contexts.current, ContextRank.CURRENT),
    ):
        if candidate:
            return Context(candidate, rank, contexts.place(candidate).settings())
    return None
