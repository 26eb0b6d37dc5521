"""Settings of one process: every component's config, composed, loaded once and validated once.

    defaults < profile < file (--config, or ./ohmesh.toml) < environment OHMESH_<SECTION>_<KEY> < flags

A context is a few settings under a name that say which mesh is meant. The current one stands below the file, the one
that OHMESH_CONTEXT names below the rest of the environment, the one of --context below the other flags. It is taken
as a whole or not at all: where something stronger says a URL or a data directory, another mesh is meant.

Each component defines its own config beside its code; here they become the sections of one file. A profile is a set of
defaults for one kind of network. A value that is not allowed is refused with its key, its origin and what is allowed;
so is a key that nobody knows, because a misspelt setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from ohmesh.errors import InvalidArgument, OhmeshError
from ohmesh.model.subject import checked_name
from ohmesh.roles.client_config import ClientConfig
from ohmesh.roles.dispatcher import DispatcherConfig
from ohmesh.roles.executor import ExecutorConfig
from ohmesh.roles.fleet.config import FleetConfig, FleetHostConfig, OrchestratorConfig
from ohmesh.roles.historian_config import HistorianConfig
from ohmesh.roles.process_config import ProcessConfig
from ohmesh.roles.projector_config import ProjectorConfig
from ohmesh.roles.webhook_config import WebhookConfig

DEFAULT_FILE = Path("ohmesh.toml")
ENVIRONMENT_PREFIX = "OHMESH_"

Profile = Literal["local", "lan", "wan"]
Durability = Literal["interval", "fsync"]
Schema = Mapping[str, type]
Section = TypeVar("Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig:
    """Which mesh, and its shape. `shards` is fixed when a mesh is first started: a kind belongs to one shard for good.
    `nodes` share the dispatchers of the shards and take over from each other.

    data: where it keeps everything; "" is the user's data directory. ledger: URL of the SQL database for history;
    "" is a file in `data`.
    """

    name: str = "default"
    data: str = ""
    profile: Profile = "local"
    shards: Annotated[int, Meta(ge=1, le=64)] = 2
    nodes: Annotated[int, Meta(ge=1, le=16)] = 2
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    ledger: str = dataclasses.field(default="", repr=False)  # it may hold a password

    def __post_init__(self) -> None:
        checked_name(self.name, "mesh name")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """url: an engine that runs elsewhere; "" starts one here. seed_file: the key that it knows us by.
    port: of the one started here; 0: that of last time, or a free one. websocket_port: for WebSocket; 0: none."""

    url: str = ""
    seed_file: str = ""
    durability: Durability = "interval"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    websocket_port: Annotated[int, Meta(ge=0, le=65535)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """How children are kept alive and ended. A child that dies is started again after `respawn_delay_ms`, doubled
    with each death up to `respawn_delay_max_ms`, and anew after it has lived for `settled_after_ms`."""

    respawn_delay_ms: Annotated[int, Meta(ge=1, le=60_000)] = 200
    respawn_delay_max_ms: Annotated[int, Meta(ge=1, le=600_000)] = 10_000
    settled_after_ms: Annotated[int, Meta(ge=1)] = 30_000
    stop_grace_ms: Annotated[int, Meta(ge=0, le=600_000)] = 10_000
    ready_timeout_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = 30_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from, in the words of an error message."""

    value: object
    source: str
    is_text: bool = False


class ContextRank(IntEnum):
    """Who chose a context: how many of file and environment it overrules."""

    CURRENT = 0
    ENVIRONMENT = 1
    FLAG = 2


@dataclass(frozen=True, slots=True)
class Context:
    """`settings`: "section.key" -> value, all of them about which mesh is meant."""

    name: str
    rank: ContextRank
    settings: Mapping[str, object]


class Config:
    """All settings: `of` gives a component its own config, whole and typed. `given` is what was said by somebody.

    context: the name of the one that was taken, or "".
    """

    def __init__(
        self,
        sections: Mapping[type, object],
        given: Mapping[str, object],
        origins: Mapping[str, str],
        context: str = "",
    ) -> None:
        self.given = given
        self.context = context
        self._sections = sections
        self._origins = origins

    def of(self, kind: type[Section]) -> Section:
        section = self._sections[kind]
        assert isinstance(section, kind)
        return section

    @property
    def mesh(self) -> MeshConfig:
        return self.of(MeshConfig)

    @property
    def engine(self) -> EngineConfig:
        return self.of(EngineConfig)

    @property
    def supervisor(self) -> SupervisorConfig:
        return self.of(SupervisorConfig)

    def origin(self, key: str) -> str:
        """Where the value of `section.key` came from."""
        return self._origins.get(key, "the defaults")


SECTIONS: dict[str, type] = {
    "mesh": MeshConfig,
    "engine": EngineConfig,
    "supervisor": SupervisorConfig,
    "client": ClientConfig,
    "dispatcher": DispatcherConfig,
    "executor": ExecutorConfig,
    "process": ProcessConfig,
    "projector": ProjectorConfig,
    "historian": HistorianConfig,
    "webhooks": WebhookConfig,
    "fleet": FleetConfig,
    "fleet_host": FleetHostConfig,
    "orchestrator": OrchestratorConfig,
}

# What can be written in a file; other fields (callbacks, paths that follow from `mesh.data`) are the composition's.
_PLAIN = frozenset({int, float, bool, str, Annotated, Literal, tuple})

# Short names for what people set most.
_SHORT_NAMES = {
    "engine.url": "OHMESH_URL",
    "mesh.data": "OHMESH_DATA",
    "mesh.ledger": "OHMESH_LEDGER",
    "mesh.name": "OHMESH_MESH",
    "mesh.profile": "OHMESH_PROFILE",
}
CONTEXT_VARIABLE = "OHMESH_CONTEXT"
LOCK_TOKEN_VARIABLE = "OHMESH_LOCK_TOKEN"  # noqa: S105 - the name of what `ohmesh lock` gives to its command
NOT_SETTINGS = frozenset(
    {CONTEXT_VARIABLE, LOCK_TOKEN_VARIABLE, "OHMESH_DEBUG", "OHMESH_SEEDS", "OHMESH_SOAK"}
)  # two are for our tests
_LONG_NAMES = {
    ENVIRONMENT_PREFIX + key.upper().replace(".", "_"): short for key, short in _SHORT_NAMES.items()
}
_WHICH_MESH = ("engine.url", "mesh.data")

# What each kind of network changes. Lists that a component wants from its caller have their default here too.
_EVERYWHERE: dict[str, object] = {"runner.targets": ("text", "function")}
PROFILES: dict[str, dict[str, object]] = {
    "local": {
        **_EVERYWHERE,
        "executor.heartbeat_ms": 500,
        "executor.lease_ms": 3_000,
        "executor.resend_ms": 1_000,
        "dispatcher.shard.lease_ms": 3_000,
        "dispatcher.retry.base_ms": 200,
        "dispatcher.retry.cap_ms": 10_000,
    },
    "lan": {
        **_EVERYWHERE,
        "executor.heartbeat_ms": 1_000,
        "executor.lease_ms": 5_000,
        "dispatcher.shard.lease_ms": 5_000,
    },
    "wan": {
        **_EVERYWHERE,
        "executor.heartbeat_ms": 5_000,
        "executor.lease_ms": 10_000,
        "executor.resend_ms": 5_000,
        "process.lease_ttl_ms": 6_000,
        "process.lease_margin_ms": 1_000,
        "process.renew_every_ms": 2_000,
        "process.call_timeout_ms": 2_000,
    },
}


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    adapters: Schema | None = None,
    context: Context | None = None,
) -> Config:
    """Read all sources and validate the outcome. `flags`: "section.key" -> value; `file` must exist when given.

    adapters: sections of the engines and runners, which only the composition root may know.
    """
    schema = {**SECTIONS, **(adapters or {})}
    kinds = {
        key: kind for name, section in schema.items() for key, kind in settings_of(section, name).items()
    }
    layers = [
        _from_file(file, schema, kinds),
        _from_environment(os.environ if environ is None else environ, kinds),
        {key: Origin(value, "the command line") for key, value in (flags or {}).items()},
    ]
    if context and any(key in layer for key in _WHICH_MESH for layer in layers[context.rank :]):
        context = None
    if context:
        layers.insert(context.rank, _from_context(context))
    given = {key: origin for layer in layers for key, origin in layer.items()}
    for key, origin in given.items():
        if key not in kinds:
            raise _unknown(key, origin.source, kinds)
    said = {key: _converted(key, origin, kinds[key]) for key, origin in given.items()}
    profile = str(said.get("mesh.profile", MeshConfig().profile))
    preset = {key: value for key, value in PROFILES[profile].items() if key in kinds}
    origins = dict.fromkeys(preset, f"profile {profile}")
    origins |= {key: origin.source for key, origin in given.items()}
    sections = {
        section: _built(section, name, {**preset, **said}, origins) for name, section in schema.items()
    }
    return Config(sections, said, origins, context.name if context else "")


def installed_version() -> str:
    """Of this package; "0+source" where it runs from a checkout that was not installed."""
    try:
        return metadata.version("ohmesh")
    except metadata.PackageNotFoundError:
        return "0+source"


def settings_of(section: type, prefix: str) -> dict[str, object]:
    """Every key below a section (a dataclass or a Struct, with others inside) and its type, bounds included."""
    found: dict[str, object] = {}
    for name, kind in typing.get_type_hints(section, include_extras=True).items():
        key = f"{prefix}.{name}"
        if isinstance(kind, type) and is_section(kind):
            found |= settings_of(kind, key)
        elif get_origin(kind) in _PLAIN or kind in _PLAIN:
            found[key] = kind
    return found


def is_section(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)


def environment_name(key: str) -> str:
    """OHMESH_URL for what people set most, else OHMESH_<SECTION>_<KEY>."""
    return _SHORT_NAMES.get(key) or ENVIRONMENT_PREFIX + key.upper().replace(".", "_")


def _from_file(file: Path | None, schema: Schema, kinds: Mapping[str, object]) -> dict[str, Origin]:
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(
            f"The settings in {path} cannot be read: {error.strerror or error}.",
            hint="Give another --config.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"{path} is not valid TOML: {error}.", hint="Mend it, or give another --config."
        ) from error
    for section, content in document.items():
        if not isinstance(content, dict):
            raise InvalidArgument(
                f"{path} sets {section!r} outside a section.", hint=f"Sections are: {', '.join(schema)}."
            )
    return {key: Origin(value, str(path)) for key, value in _flattened(document, "", kinds).items()}


def _flattened(table: Mapping[str, object], prefix: str, kinds: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in kinds:
            found |= _flattened(value, f"{key}.", kinds)
        else:
            found[key] = value
    return found


def _from_context(context: Context) -> dict[str, Origin]:
    return {key: Origin(value, f"context {context.name!r}") for key, value in context.settings.items()}


def _from_environment(environ: Mapping[str, str], kinds: Mapping[str, object]) -> dict[str, Origin]:
    keys = {environment_name(key): key for key in kinds}
    found: dict[str, Origin] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in NOT_SETTINGS or value == "":
            continue
        if name not in keys:
            raise _unknown(name, "the environment", keys)
        found[keys[name]] = Origin(value, f"environment variable {name}", is_text=True)
    return found


def _unknown(name: str, source: str, known: Iterable[str]) -> InvalidArgument:
    short = _LONG_NAMES.get(name)
    near = [short] if short else difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are, for example, {', '.join(islice(known, 5))}."
    return InvalidArgument(f"There is no setting {name!r} (from {source}).", hint=hint)


def _built(section: type, name: str, values: Mapping[str, object], origins: Mapping[str, str]) -> object:
    arguments: dict[str, object] = {}
    for field, kind in typing.get_type_hints(section, include_extras=True).items():
        key = f"{name}.{field}"
        if isinstance(kind, type) and is_section(kind):
            arguments[field] = _built(kind, key, values, origins)
        elif key in values:
            arguments[field] = values[key]
    try:
        return section(**arguments)
    except OhmeshError as error:
        given = [f"{key} from {origins[key]}" for key in origins if key.startswith(f"{name}.")]
        raise InvalidArgument(f"Settings ({', '.join(given)}): {error.message}", hint=error.hint) from error


def _converted(key: str, origin: Origin, kind: object) -> object:
    try:
        if origin.is_text and get_origin(kind) is tuple:
            return tuple(part.strip() for part in str(origin.value).split(",") if part.strip())
        # Text of the environment becomes numbers and truth values; a file or a caller must give the type itself.
        return msgspec.convert(origin.value, kind, strict=not origin.is_text)
    except (msgspec.ValidationError, TypeError) as error:
        shown = json.dumps(origin.value, default=str, ensure_ascii=False)
        raise InvalidArgument(
            f"{key} = {shown} (from {origin.source}) is not allowed.",
            hint=f"Allowed: {describe_allowed(kind)}.",
        ) from error


def describe_allowed(kind: object) -> str:
    """What a setting of this type may be, for a person."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        bounds = next((mark for mark in marks if isinstance(mark, Meta)), Meta())
        low = "" if bounds.ge is None else f" from {bounds.ge}"
        high = "" if bounds.le is None else f" to {bounds.le}"
        return f"{describe_allowed(base)}{low}{high}"
    if get_origin(kind) is Literal:
        return ", ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of {describe_allowed(get_args(kind)[0])}"
    names: dict[object, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, str(kind))
