"""Settings: which source wins, and what is said about a value that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ohmesh.assembly.settings import ADAPTERS, child_environment, load_settings
from ohmesh.config import (
    PROFILES,
    SECTIONS,
    EngineConfig,
    environment_name,
    load_config,
    settings_of,
)
from ohmesh.errors import InvalidArgument
from ohmesh.roles.executor import ExecutorConfig


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ()


def test_flags_win_over_environment_over_file_over_profile_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text('[engine]\nport = 1\ndurability = "fsync"\n[mesh]\nname = "file"\n')
    environ = {"OHMESH_ENGINE_PORT": "2", "OHMESH_MESH": "environment"}
    config = load_config({"mesh.name": "flag"}, file=file, environ=environ)
    assert config.mesh.name == "flag"
    assert config.engine.port == 2
    assert config.engine.durability == "fsync"
    assert config.of(ExecutorConfig).heartbeat_ms == PROFILES["local"]["executor.heartbeat_ms"]
    assert config.supervisor.stop_grace_ms == 10_000
    assert config.origin("engine.port") == "environment variable OHMESH_ENGINE_PORT"
    assert config.origin("supervisor.stop_grace_ms") == "the defaults"


def test_a_profile_changes_what_it_names_and_yields_to_what_is_said() -> None:
    config = load_config({"mesh.profile": "wan", "executor.lease_ms": 12_000}, environ={})
    assert (config.of(ExecutorConfig).heartbeat_ms, config.of(ExecutorConfig).lease_ms) == (5_000, 12_000)


def test_every_key_of_every_profile_exists_and_every_profile_can_be_loaded() -> None:
    known = {key for name, kind in {**SECTIONS, **ADAPTERS}.items() for key in settings_of(kind, name)}
    for name, preset in PROFILES.items():
        assert set(preset) <= known
        assert load_config({"mesh.profile": name}, environ={}, adapters=ADAPTERS).mesh.profile == name


def test_no_two_settings_share_an_environment_variable() -> None:
    keys = [key for name, kind in {**SECTIONS, **ADAPTERS}.items() for key in settings_of(kind, name)]
    assert len({environment_name(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            {"engine.port": 70_000},
            ["engine.port = 70000", "the command line", "a whole number from 0 to 65535"],
        ),
        ({"engine.port": "80"}, ["engine.port"]),
        ({"engine.durability": "fsynk"}, ['"fsynk"', "interval, fsync"]),
        ({"engine.durabilty": "fsync"}, ["'engine.durabilty'", "'engine.durability'"]),
        ({"mesh.name": "two words"}, ["mesh.name", "two words", "letters"]),
        ({"process.lease_ttl_ms": 10}, ["process.lease_ttl_ms"]),
        ({"runner.sync_processes": 0}, ["runner.sync_processes"]),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_key_origin_and_remedy(
    flags: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        load_config(flags, environ={}, adapters=ADAPTERS)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"OHMESH_ENGINE_PORT": "eighty"}, "OHMESH_ENGINE_PORT"),
        ({"OHMESH_MESHH": "x"}, "'OHMESH_MESH'"),
        ({"OHMESH_ENGINE_URL": "nats://x:1"}, "'OHMESH_URL'"),
    ],
)
def test_a_wrong_or_unknown_variable_is_named(environ: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        load_config(environ=environ)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[engine\n", "not valid TOML"),
        ('name = "x"\n', "outside a section"),
        ("[engine]\nport = 'http'\n", "from "),
        ("[engine.deep]\nport = 1\n", "engine.deep.port"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(content)
    with pytest.raises(InvalidArgument, match=word) as refusal:
        load_config(file=file, environ={})
    assert "broken.toml" in str(refusal.value)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot be read"):
        load_config(file=tmp_path / "missing.toml", environ={})


def test_a_section_inside_a_section_is_set_by_its_path() -> None:
    environ = {"OHMESH_OUTER_INNER_SIZE": "7", "OHMESH_OUTER_NAMES": "one, two"}
    config = load_config(environ=environ, adapters={"outer": Outer})
    assert config.of(Outer) == Outer(Inner(7), ("one", "two"))


def test_a_child_loads_what_its_parent_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parent = load_settings(
        {"mesh.data": str(tmp_path), "engine.durability": "fsync", "runner.targets": ["one", "two"]}
    )
    environment = child_environment(parent, overrides={"engine.port": 4222})
    for name, value in environment.items():
        if name.startswith("OHMESH_"):
            monkeypatch.setenv(name, value)
    child = load_settings()
    assert child.of(EngineConfig) == EngineConfig(durability="fsync", port=4222)
    assert child.mesh == parent.mesh
    assert child.given["runner.targets"] == ("one", "two")
