"""Commands are made of the registry: what can be typed, and what it becomes."""

from __future__ import annotations

import click
import pytest
from msgspec import Struct

from ohmesh.cli import verbs
from ohmesh.cli.application import run
from ohmesh.model.task import TaskState
from ohmesh.operations.command import Command
from ohmesh.operations.commands import COMMANDS, find_command
from ohmesh.operations.results import TaskOutcome


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Struct]]:
    """What would have been asked of a mesh."""
    calls: list[tuple[str, Struct]] = []

    async def call(verb: Command, arguments: Struct, flags: object, file: object) -> Struct:
        calls.append((verb.name, arguments))
        return TaskOutcome("T", TaskState.SUCCEEDED, 1)

    monkeypatch.setattr(verbs, "_call", call)
    return calls


@pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: verb.name)
def test_every_parameter_of_the_registry_can_be_typed(verb: Command) -> None:
    command = verbs.command_of(verb.words[0])
    for word in verb.words[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    typed = {name for parameter in command.params for name in parameter.opts}
    for parameter in verb.parameters():
        option = "--secret-file" if parameter.name == verbs.SECRET else parameter.option
        assert (parameter.name if parameter.positional else option) in typed
    assert {
        "--json",
        "--output",
        "--fields",
        "--quiet",
        "--no-input",
        "--url",
        "--data",
        "--mesh",
        "--context",
    } <= typed


def test_arguments_are_json_where_they_are_json(asked: list[tuple[str, Struct]]) -> None:
    assert (
        run(["submit", "kind", "3", "[1, 2]", "text", '"3"', "null", "--named", "x=true", "--named", "y=a=b"])
        == 0
    )
    expected = find_command("submit").parse(
        {"kind": "kind", "arguments": [3, [1, 2], "text", "3", None], "named": {"x": True, "y": "a=b"}}
    )
    assert asked == [("submit", expected)]


def test_options_reach_the_verb_with_their_types(asked: list[tuple[str, Struct]]) -> None:
    assert (
        run(["submit", "k", "--priority", "high", "--retries", "2", "--timeout", "1.5", "--requires", "gpu"])
        == 0
    )
    expected = find_command("submit").parse(
        {"kind": "k", "priority": "high", "retries": 2, "timeout_s": 1.5, "requires": ["gpu"]}
    )
    assert asked == [("submit", expected)]


def test_a_negative_number_is_an_argument_and_a_misspelt_option_is_refused(
    asked: list[tuple[str, Struct]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", "add", "-5", "3", "-.5", "--delay", "1", "-1e3", "--", "-7"]) == 0
    expected = find_command("submit").parse(
        {"kind": "add", "arguments": [-5, 3, "-.5", -1000.0, -7], "delay_s": 1.0}
    )
    assert asked == [("submit", expected)]
    assert run(["submit", "add", "-5", "--prioritee", "high"]) == 2
    assert "--priority" in capsys.readouterr().err


def test_wait_alone_waits_the_usual_time(asked: list[tuple[str, Struct]]) -> None:
    assert run(["submit", "k", "--wait"]) == 0
    assert run(["submit", "--wait", "k"]) == 0
    assert asked == [("submit", find_command("submit").parse({"kind": "k", "wait_s": 30.0}))] * 2


@pytest.mark.parametrize(
    "typed", [["tasks"], ["tasks", "--kind", "text"], ["tasks", "list", "--kind", "text"]]
)
def test_tasks_alone_lists(typed: list[str], asked: list[tuple[str, Struct]]) -> None:
    assert run(typed) == 0
    kind = "text" if "--kind" in typed else ""
    assert asked == [("tasks list", find_command("tasks list").parse({"kind": kind}))]


def test_a_filter_reaches_the_verb(asked: list[tuple[str, Struct]]) -> None:
    assert run(["tasks", "--filter", "state=dead and age>1h"]) == 0
    assert run(["workers", "--filter", "load>80%"]) == 0
    assert asked == [
        ("tasks list", find_command("tasks list").parse({"filter": "state=dead and age>1h"})),
        ("workers", find_command("workers").parse({"filter": "load>80%"})),
    ]


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret_and_no_mesh_is_asked(
    asked: list[tuple[str, Struct]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["workers", "--filter", "kind=text and  stat=active"]) == 2
    line, *excerpt = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: There is no field 'stat'. Did you mean state? The fields of workers: name,"
    )
    assert excerpt == ["    kind=text and  stat=active", "                   ^"]
    assert asked == []


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        (["submit", "k", "--named", "novalue"], "name=value"),
        (["submit", "k", "--retries", "many"], "many"),
        (["tasks", "list", "--limit", "0"], "error: --limit: expected int >= 1."),
        (["tasks", "shred"], "shred"),
        (["result"], "TASK_ID"),
        (["tasks", "--json", "--output", "csv"], "--json and --output csv contradict each other"),
        (["tasks", "--output", "xml"], "xml"),
        (["submit", "k", "--fields", "task_id,sate"], "Did you mean state?"),
        (["tasks", "--json", "--fields", "age"], "no field 'age'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_mesh_is_asked(
    typed: list[str], word: str, asked: list[tuple[str, Struct]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == 2
    assert word in capsys.readouterr().err
    assert asked == []
