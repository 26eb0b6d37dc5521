"""Sizes of files and functions: what does not fit in a head is split."""

from __future__ import annotations

import ast

from tests.architecture.sources import Function, functions, listed, place, python_files

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 5
# A task's options are keywords where people type them; declared once, every verb of the Python door takes them. So are
# the conditions of history, of conflicts and of a schedule, what an agent declares of itself, and whom an operation
# means and when.
OPERATIONS = {"ping", "broadcast", "ask", "cascade", "start_operation"}
STATES = {"heal", "set_context", "merge_context", "verify_context", "sync_context"}
DOORS = {"prepare", "map", "history", "agent", "add_schedule", "conflicts", *OPERATIONS, *STATES}


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    problems = []
    for path in python_files():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            problems.append(f"{place(path)}: {lines} lines, at most {FILE_LINES}; split it by idea")
    assert not problems, listed(problems)


def test_no_function_is_longer_than_sixty_lines() -> None:
    problems = []
    for path in python_files():
        for function in functions(path):
            lines = body_lines(function)
            if lines > FUNCTION_LINES:
                problems.append(
                    f"{place(path, function)}: {function.name} has {lines} lines without its docstring, at most "
                    f"{FUNCTION_LINES}; branch in the parent, compute in leaves"
                )
    assert not problems, listed(problems)


def test_no_function_of_the_product_takes_more_than_five_parameters() -> None:
    problems = []
    for path in python_files("src", "benchmarks", "requirements"):
        for function in functions(path):
            count = parameter_count(function)
            if count > PARAMETERS and not is_command(function) and function.name not in DOORS:
                problems.append(
                    f"{place(path, function)}: {function.name} takes {count} parameters, at most {PARAMETERS}; "
                    "group what belongs together into a value"
                )
    assert not problems, listed(problems)


def body_lines(function: Function) -> int:
    """Lines from `def` to the end, the docstring not counted."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    if has_docstring(function):
        first = function.body[0]
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def has_docstring(function: Function) -> bool:
    return ast.get_docstring(function, clean=False) is not None


def parameter_count(function: Function) -> int:
    """Neither `self` nor what a decorator decorates (positional only, None by default) is counted."""
    arguments = function.args
    names = [argument.arg for argument in [*arguments.args, *arguments.kwonlyargs]]
    if names and names[0] in ("self", "cls"):
        names = names[1:]
    decorated = len(arguments.posonlyargs) == 1 and len(arguments.defaults) > len(arguments.args)
    return len(names) + (0 if decorated else len(arguments.posonlyargs))


def is_command(function: Function) -> bool:
    """click hands one parameter for each option; such functions carry click's decorators."""
    return any("click" in ast.dump(decorator) for decorator in function.decorator_list)
