"""The tests themselves: each can fail, and none waits by sleeping."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.sources import Function, functions, listed, place, python_files

CAN_FAIL_BY_LIBRARY = {"raises", "fail", "warns"}
WAITING = "waiting.py"


def test_every_test_can_fail() -> None:
    failing = functions_that_can_fail()
    problems = [
        f"{place(path, function)}: {function.name} asserts nothing"
        for path in python_files("tests")
        for function in functions(path)
        if function.name.startswith("test_") and not can_fail(function, failing)
    ]
    assert not problems, listed(problems)


def test_no_test_sleeps_to_wait() -> None:
    """A sleep in a polling loop, in an agent's own code and in virtual time is not waiting for luck."""
    problems = [
        f"{place(path, call)}: sleeps; wait for the fact with tests.waiting"
        for path in python_files("tests")
        if path.name != WAITING and not runs_in_virtual_time(path)
        for call in sleeps(path)
    ]
    assert not problems, listed(problems)


def runs_in_virtual_time(path: Path) -> bool:
    """A test that uses the simulator; there a sleep is how time passes."""
    text = path.read_text(encoding="utf-8")
    return "from ohmesh.simulator." in text or "testing.run(" in text


@cache
def functions_that_can_fail() -> frozenset[str]:
    """Names of functions that assert, directly or through others, anywhere in tests and source."""
    known = [
        (function.name, function) for path in python_files("tests", "src") for function in functions(path)
    ]
    failing: set[str] = set()
    while True:
        found = {name for name, function in known if name not in failing and can_fail(function, failing)}
        if not found:
            return frozenset(failing)
        failing |= found


def can_fail(function: Function, failing: frozenset[str] | set[str]) -> bool:
    by_itself, calls = deeds(function)
    return by_itself or not calls.isdisjoint(failing)


@cache
def deeds(function: Function) -> tuple[bool, frozenset[str]]:
    """Whether it asserts by itself, and what it calls."""
    calls: set[str] = set()
    for node in ast.walk(function):
        if asserts(node):
            return True, frozenset()
        if isinstance(node, ast.Call):
            calls.add(called(node))
    return not calls.isdisjoint(CAN_FAIL_BY_LIBRARY), frozenset(calls)


def asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise) and node.exc is not None:
        return "AssertionError" in ast.dump(node.exc)
    return isinstance(node, ast.Assert)


def called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def sleeps(path: Path) -> Iterator[ast.Call]:
    """Calls of time.sleep, and of asyncio.sleep for more than one turn of the loop, straight in a test or fixture."""
    for function in functions(path):
        if function.name.startswith("test_") or is_fixture(function):
            yield from sleeps_within(function)


def sleeps_within(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.While) or (isinstance(child, Function) and child.decorator_list):
            continue
        if isinstance(child, ast.Call) and called(child) == "sleep" and not yields_only(child):
            yield child
        yield from sleeps_within(child)


def yields_only(call: ast.Call) -> bool:
    return all(isinstance(argument, ast.Constant) and argument.value == 0 for argument in call.args)


def is_fixture(function: Function) -> bool:
    return any("fixture" in ast.dump(decorator) for decorator in function.decorator_list)
