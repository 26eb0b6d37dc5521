"""Settings with the adapters' sections, and how they travel to child processes.

A child is given what its parent was given, as OHMESH_* variables, so both load the same config by the same rules.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ohmesh.api.config import ApiConfig
from ohmesh.assembly.data_directory import DataDirectory, default_data_directory
from ohmesh.config import CONTEXT_VARIABLE, Config, Context, Schema, environment_name, load_config
from ohmesh.engines.ledger.config import LedgerConfig
from ohmesh.engines.nats.config import NatsConfig
from ohmesh.handlers.config import HandlersConfig
from ohmesh.runners.config import RunnerConfig

ADAPTERS: Schema = {
    "api": ApiConfig,
    "ledger": LedgerConfig,
    "nats": NatsConfig,
    "runner": RunnerConfig,
    "handlers": HandlersConfig,
}


def load_settings(
    flags: Mapping[str, object] | None = None, *, file: Path | None = None, context: Context | None = None
) -> Config:
    """The config of this process: defaults, profile, file, environment, `flags` ("section.key" -> value)."""
    return load_config(flags, file=file, adapters=ADAPTERS, context=context)


def data_directory(config: Config) -> DataDirectory:
    """Where this mesh keeps everything on this machine."""
    chosen = config.mesh.data
    root = Path(chosen).expanduser() if chosen else default_data_directory(config.mesh.name)
    return DataDirectory(root.absolute(), config.mesh.name)


def child_environment(config: Config, *, overrides: Mapping[str, object] | None = None) -> dict[str, str]:
    """The environment in which a child loads the same settings. Values of `overrides` replace ours.

    It is told what a context says, and so none of its names.
    """
    given = {**config.given, "mesh.data": str(data_directory(config).root), **(overrides or {})}
    inherited = {name: value for name, value in os.environ.items() if name != CONTEXT_VARIABLE}
    return inherited | {environment_name(key): _text(value) for key, value in given.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
