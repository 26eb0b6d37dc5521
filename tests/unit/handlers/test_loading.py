"""Agents found by name, and errors that say what was looked for and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ohmesh.errors import AgentDefinitionError
from ohmesh.handlers.declaration import agent
from ohmesh.handlers.loading import handlers_of, load_agents, load_handlers

GOOD = """
from ohmesh.handlers.declaration import agent
from ohmesh.handlers.image import image as imported

@agent
def one(): return 1

@agent(kind="second")
async def two(): return 2

def plain(): return 0

class Nested:
    @agent
    def inside(): return 3

same = one
both = [one, two]
named = {"a": one, "b": two}
mixed = (one, plain)
twice = [one, one]
nothing = []
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, importable; modules loaded from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "good_agents.py").write_text(GOOD)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def kinds(target: str) -> list[str]:
    return [handler.spec.kind for handler in load_agents(target)]


def test_one_many_named_or_all_agents_of_a_module_are_found(folder: Path) -> None:
    assert kinds("good_agents:one") == ["one"]
    assert kinds("good_agents:both") == ["one", "second"]
    assert kinds("good_agents:named") == ["one", "second"]
    assert kinds("good_agents:Nested.inside") == ["inside"]
    assert kinds("good_agents") == ["one", "second"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module:agent", ["no module 'no_such_module'", "Run in the directory"]),
        ("good_agents.below:agent", ["good_agents.below"]),
        ("good_agents:three", ["no attribute 'three'", "one, two"]),
        ("good_agents:plain", ["plain", "not an agent", "@agent"]),
        ("good_agents:mixed", ["plain", "not an agent"]),
        ("good_agents:twice", ["Two agents have the kind 'one'"]),
        ("good_agents:nothing", ["holds no agent"]),
        ("good_agents:", ["names no object"]),
        (":one", ["names no module"]),
        ("", ["names no module"]),
        (".relative:one", ["names no module"]),
        ("some.py:one", ["is a file", "Drop .py: some:one"]),
    ],
)
def test_what_cannot_be_found_is_said_with_what_to_do(folder: Path, target: str, words: list[str]) -> None:
    with pytest.raises(AgentDefinitionError) as caught:
        load_agents(target)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("value = 1\nvalue / 0\n", ["ZeroDivisionError", "broken_agents.py:2", "value / 0"]),
        ("import not_installed_here\n", ["not_installed_here", "ModuleNotFoundError"]),
        ("def broken(:\n", ["SyntaxError", "broken_agents.py:1"]),
        ("import sys\nsys.exit('stop')\n", ["SystemExit", "stop"]),
    ],
)
def test_what_an_import_raised_is_told_with_the_users_own_line(
    folder: Path, source: str, words: list[str]
) -> None:
    (folder / "broken_agents.py").write_text(source)
    with pytest.raises(AgentDefinitionError) as caught:
        load_agents("broken_agents:agent")
    for word in words:
        assert word in str(caught.value)


def test_built_in_kinds_are_named_like_targets_and_kinds_differ_across_targets(folder: Path) -> None:
    found = load_handlers(["text", "function", "good_agents"], {})
    assert [handler.spec.kind for handler in found] == ["text", "function", "one", "second"]
    with pytest.raises(AgentDefinitionError, match="Two agents have the kind 'one'"):
        load_handlers(["good_agents", "good_agents:one"], {})
    with pytest.raises(AgentDefinitionError, match="No agent was named"):
        load_handlers([], {})


@pytest.mark.parametrize(("kind", "library"), [("image", "cv2"), ("http", "httpx2")])
def test_a_kind_without_its_extra_says_what_to_install(
    kind: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # what Python sees where it is not installed
    with pytest.raises(AgentDefinitionError) as caught:
        load_handlers([kind], {})
    assert f"pip install 'ohmesh[{kind}]'" in str(caught.value)


def test_functions_of_this_process_are_agents_beside_what_is_named(folder: Path) -> None:
    @agent(kind="local")
    def local() -> int:
        return 1

    found = handlers_of([local, "good_agents:both", "text"])
    assert [handler.spec.kind for handler in found] == ["local", "one", "second", "text"]
    with pytest.raises(AgentDefinitionError, match="Two agents have the kind 'local'"):
        handlers_of([local, local])
    with pytest.raises(AgentDefinitionError, match="not an agent"):
        handlers_of([len])
