"""Settings with the adapters' sections, and how they travel to child processes.

`resolve_settings` is how every door knows which mesh is meant. A child is given what its parent was given, as OHMESH_*
variables, so both load the same config by the same rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ohmesh.api.config import ApiConfig
from ohmesh.assembly.contexts import chosen_context
from ohmesh.assembly.data_directory import DataDirectory, default_data_directory
from ohmesh.config import (
    CONTEXT_VARIABLE,
    Config,
    Context,
    ContextRank,
    Schema,
    environment_name,
    load_config,
)
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.nats.config import NatsConfig
from ohmesh.errors import InvalidArgument
from ohmesh.handlers.config import HandlersConfig
from ohmesh.runners.config import RunnerConfig

ADAPTERS: Schema = {
    "api": ApiConfig,
    "ledger": LedgerConfig,
    "nats": NatsConfig,
    "runner": RunnerConfig,
    "handlers": HandlersConfig,
}


def resolve_settings(
    flags: Mapping[str, object] | None = None, *, file: Path | None = None, context: str = ""
) -> Config:
    """The config of this process and the mesh that it means: as `load_settings`, with the context that counts.

    context: the name of one that was asked for, else OHMESH_CONTEXT or the current one counts. InvalidArgument where
    there is none of that name, or where `flags` name another mesh than the context that was asked for.
    """
    chosen, said = chosen_context(context), dict(flags or {})
    if chosen is not None and chosen.rank is ContextRank.FLAG:
        chosen = _with_own_data(chosen, said)
    return load_settings(said, file=file, context=chosen)


def load_settings(
    flags: Mapping[str, object] | None = None, *, file: Path | None = None, context: Context | None = None
) -> Config:
    """The config of this process: defaults, profile, file, environment, `flags` ("section.key" -> value)."""
    return load_config(flags, file=file, adapters=ADAPTERS, context=context)


def data_directory(config: Config) -> DataDirectory:
    """Where this mesh keeps everything on this machine; of a mesh at a URL, what our part of it keeps."""
    chosen = config.mesh.data
    root = (
        Path(chosen).expanduser() if chosen else default_data_directory(config.mesh.name, config.engine.url)
    )
    return DataDirectory(root.absolute(), config.mesh.name)


def child_environment(config: Config, *, overrides: Mapping[str, object] | None = None) -> dict[str, str]:
    """The environment in which a child loads the same settings. Values of `overrides` replace ours.

    It is told what a context says, and so none of its names.
    """
    given = {**config.given, "mesh.data": str(data_directory(config).root), **(overrides or {})}
    inherited = {name: value for name, value in os.environ.items() if name != CONTEXT_VARIABLE}
    return inherited | {environment_name(key): _text(value) for key, value in given.items()}


def _with_own_data(context: Context, flags: dict[str, object]) -> Context:
    """Beside the context of a mesh that runs elsewhere, a data directory says where our part of it keeps its data."""
    if "mesh.data" in flags and context.settings.get("engine.url") and "engine.url" not in flags:
        return Context(context.name, context.rank, {**context.settings, "mesh.data": flags.pop("mesh.data")})
    for key, option in (("engine.url", "--url"), ("mesh.data", "--data")):
        if key in flags:
            raise InvalidArgument(
                f"The context {context.name!r} and {option} {flags[key]} name two meshes.",
                hint="Give one of them.",
            )
    return context


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
