"""The registry: whole, loadable, and light enough to list."""

from __future__ import annotations

import inspect
import subprocess
import sys

import msgspec
import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.operations.arguments import ms_of
from ohmesh.operations.command import Command, Risk, load
from ohmesh.operations.commands import COMMANDS, GROUPS, find_command
from ohmesh.operations.parameter import Form

every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@every_command
def test_a_command_loads_and_its_function_takes_its_arguments(command: Command) -> None:
    function = load(command.run)
    assert inspect.iscoroutinefunction(function)
    hints = inspect.signature(function, eval_str=True)
    _, arguments = hints.parameters.values()
    assert arguments.annotation is command.arguments_type()
    assert hints.return_annotation is command.result_type()


@every_command
def test_both_ends_of_a_command_have_a_json_schema(command: Command) -> None:
    for end in (command.arguments_type(), command.result_type()):
        assert msgspec.json.schema(end)["$defs"]


@every_command
def test_every_parameter_has_help_and_a_place(command: Command) -> None:
    parameters = command.parameters()
    assert [one.positional for one in parameters] == sorted(
        (one.positional for one in parameters), reverse=True
    )
    assert all(one.help.endswith(".") for one in parameters)
    repeated = [one.name for one in parameters if one.positional and one.repeated]
    assert len(repeated) <= 1
    assert len({one.option for one in parameters}) == len(parameters)


@every_command
def test_a_command_is_described_for_people(command: Command) -> None:
    assert command.summary.endswith(".")
    assert command.example.startswith(f"ohmesh {command.name}")
    assert len(command.words) == 1 or command.words[0] in GROUPS
    assert not command.undo or find_command(command.undo)
    assert (command.risk is Risk.READ) <= command.idempotent, "reading changes nothing"


def test_names_are_unique() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    assert len({command.method for command in COMMANDS}) == len(COMMANDS)


def test_a_name_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(InvalidArgument, match="tasks list"):
        find_command("task list")


def test_parameters_come_from_the_arguments() -> None:
    parameters = {one.name: one for one in find_command("submit").parameters()}
    assert (parameters["kind"].positional, parameters["kind"].required) == (True, True)
    assert (parameters["arguments"].form, parameters["arguments"].repeated) == (Form.VALUE, True)
    assert (parameters["named"].form, parameters["named"].metavar) == (Form.PAIR, "NAME=VALUE")
    assert (parameters["timeout_s"].option, parameters["timeout_s"].metavar) == ("--timeout", "SECONDS")
    assert parameters["priority"].choices == ("CRITICAL", "HIGH", "NORMAL", "LOW")
    assert parameters["priority"].default == "NORMAL"
    assert (parameters["retries"].form, parameters["retries"].default) == (Form.INTEGER, -1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "kind"),
        ({"kind": ""}, "kind: expected str of length >= 1"),
        ({"kind": "a", "retries": "many"}, "retries: expected int"),
        ({"kind": "a", "wait_s": -1}, "wait_s: expected float >= 0"),
        ({"kind": "a", "colour": "red"}, "'colour' is not a parameter"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        find_command("submit").parse(values)


def test_the_registry_imports_nothing_heavy() -> None:
    script = (
        "import sys, ohmesh.operations.commands;"
        "heavy = {'asyncio', 'msgspec', 'nats', 'numpy', 'sqlalchemy'} & set(sys.modules);"
        "print(', '.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_what_is_missing_is_named_alone() -> None:
    with pytest.raises(InvalidArgument, match=r"^kind: it is missing"):
        find_command("submit").parse({})


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.0, 0), (0.0001, 1), (0.0016, 2), (3.0, 3_000)])
def test_a_short_time_is_never_none(seconds: float, milliseconds: int) -> None:
    assert ms_of(seconds) == milliseconds
