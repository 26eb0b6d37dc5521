"""`import ohmesh`: the names that users write, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ohmesh

FRONT_DOOR = [
    "AsyncMesh",
    "Backoff",
    "Backpressure",
    "Complexity",
    "InvalidArgument",
    "Mesh",
    "MeshOrchestrator",
    "MeshUnreachable",
    "OhmeshError",
    "Permanent",
    "Priority",
    "ResultTimeout",
    "RetryLater",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TaskState",
    "TaskTimedOut",
    "UnknownTask",
    "agent",
    "report_progress",
]


def test_the_front_door_has_these_names_and_no_others() -> None:
    assert ohmesh.__all__ == FRONT_DOOR
    assert set(FRONT_DOOR) <= set(dir(ohmesh))


@pytest.mark.parametrize("name", FRONT_DOOR)
def test_each_name_is_the_object_of_that_name(name: str) -> None:
    assert getattr(ohmesh, name).__name__ == name


def test_type_checkers_see_the_same_names_as_programs() -> None:
    tree = ast.parse(Path(ohmesh.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == FRONT_DOOR


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Mehs'"):
        _ = ohmesh.Mehs


def test_importing_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, ohmesh;"
        "heavy = {'asyncio', 'msgspec', 'nats', 'numpy', 'sqlalchemy', 'click'} & set(sys.modules);"
        "print(', '.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
