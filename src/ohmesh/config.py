"""Settings of one process: every component's config, composed, loaded once and validated once.

    defaults < profile < file (--config, or ./ohmesh.toml) < environment OHMESH_<SECTION>_<KEY> < flags

Each component defines its own config beside its code; here they become the sections of one file. A profile is a set of
defaults for one kind of network. A value that is not allowed is refused with its key, its origin and what is allowed;
so is a key that nobody knows, because a misspelt setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from ohmesh.errors import InvalidArgument, OhmeshError
from ohmesh.model.subject import checked_name

DEFAULT_FILE = Path("ohmesh.toml")
ENVIRONMENT_PREFIX = "OHMESH_"

Profile = Literal["local", "lan", "wan"]
Durability = Literal["interval", "fsync"]
Schema = Mapping[str, type]
Section = TypeVar("Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig:
    """Which mesh, and its shape. `shards` is fixed when a mesh is first started: a kind belongs to one shard for good.

    data: where it keeps everything; "" is the user's data directory. ledger: URL of the SQL database for history;
    "" is a file in `data`.
    """

    name: str = "default"
    data: str = ""
    profile: Profile = "local"
    shards: Annotated[int, Meta(ge=1, le=64)] = 2
    nodes: Annotated[int, Meta(ge=1, le=16)] = 2
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    ledger: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "mesh name")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """url: an engine that runs elsewhere; "" starts one here. seed_file: the key that it knows us by.
    server: path of a nats-server to use; "" looks on PATH, then takes the wheel's. port: 0 finds a free one."""

    url: str = ""
    seed_file: str = ""
    durability: Durability = "interval"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    server: str = ""


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


class Config:
    """All settings: `of` gives a component its own config, whole and typed."""

    def __init__(self, sections: Mapping[type, object], origins: Mapping[str, str]) -> None:
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
}

# Short names for what people set most.
_SHORT = {
    "OHMESH_URL": "engine.url",
    "OHMESH_DATA": "mesh.data",
    "OHMESH_MESH": "mesh.name",
    "OHMESH_PROFILE": "mesh.profile",
}
_NOT_SETTINGS = frozenset({"OHMESH_DEBUG"})

PROFILES: dict[str, dict[str, object]] = {
    "local": {},
    "lan": {},
    "wan": {},
}


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    adapters: Mapping[str, type] | None = None,
) -> Config:
    """Read all sources and validate the outcome. `flags`: "section.key" -> value; `file` must exist when given.

    adapters: sections of the engines and runners, which only the composition root may know.
    """
    schema = {**SECTIONS, **(adapters or {})}
    given = _from_file(file, schema)
    given |= _from_environment(os.environ if environ is None else environ)
    given |= {key: Origin(value, "the command line") for key, value in (flags or {}).items()}
    for key, origin in given.items():
        _check_known(key, origin.source, schema)
    profile = "local"
    if "mesh.profile" in given:
        profile = str(_converted("mesh.profile", given["mesh.profile"], schema))
    values = {key: Origin(value, f"profile {profile}") for key, value in PROFILES[profile].items()} | given
    sections = {kind: _section(name, values, schema) for name, kind in schema.items()}
    return Config(sections, {key: origin.source for key, origin in values.items()})


def _from_file(file: Path | None, schema: Schema) -> dict[str, Origin]:
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
    found: dict[str, Origin] = {}
    for section, content in document.items():
        if not isinstance(content, dict):
            raise InvalidArgument(
                f"{path} sets {section!r} outside a section.", hint=f"Sections are: {', '.join(schema)}."
            )
        found |= {f"{section}.{key}": Origin(value, str(path)) for key, value in content.items()}
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, Origin]:
    found: dict[str, Origin] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _NOT_SETTINGS or value == "":
            continue
        key = _SHORT.get(name) or name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", ".", 1)
        found[key] = Origin(value, f"environment variable {name}", is_text=True)
    return found


def _check_known(key: str, source: str, schema: Schema) -> None:
    known = [f"{section}.{name}" for section, kind in schema.items() for name in types_of(kind)]
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    raise InvalidArgument(
        f"There is no setting {key!r} (from {source}).",
        hint=f"Did you mean {near[0]!r}?" if near else f"Sections are: {', '.join(schema)}.",
    )


def _section(name: str, values: Mapping[str, Origin], schema: Schema) -> object:
    arguments = {
        key: _converted(f"{name}.{key}", values[f"{name}.{key}"], schema)
        for key in types_of(schema[name])
        if f"{name}.{key}" in values
    }
    try:
        return schema[name](**arguments)
    except OhmeshError as error:
        given = ", ".join(
            f"{name}.{key} = {value!r} from {values[f'{name}.{key}'].source}"
            for key, value in arguments.items()
        )
        raise InvalidArgument(f"Settings ({given}): {error.message}", hint=error.hint) from error


def _converted(key: str, origin: Origin, schema: Schema) -> object:
    section, _, name = key.partition(".")
    kind = types_of(schema[section])[name]
    try:
        # Text of the environment becomes numbers and truth values; a file or a caller must give the type itself.
        return msgspec.convert(origin.value, kind, strict=not origin.is_text)
    except msgspec.ValidationError as error:
        shown = json.dumps(origin.value, default=str, ensure_ascii=False)
        raise InvalidArgument(
            f"{key} = {shown} (from {origin.source}) is not allowed.",
            hint=f"Allowed: {describe_allowed(kind)}.",
        ) from error


def types_of(section: type) -> dict[str, object]:
    """The keys of a section (a dataclass or a Struct) and their types, bounds included."""
    return typing.get_type_hints(section, include_extras=True)


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
    names: dict[object, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, str(kind))
