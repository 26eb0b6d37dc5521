"""The entrance: every failure becomes one line and an exit code, and help costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from ohmesh import errors
from ohmesh.cli import application
from ohmesh.cli.application import LOCAL_VERBS, run
from ohmesh.cli.exit_codes import ExitCode, exit_code_of
from ohmesh.cli.options import json_option
from ohmesh.operations.commands import COMMANDS


def test_help_lists_every_verb_but_the_hidden_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == ExitCode.OK
    listed = capsys.readouterr().out
    for name in {verb.words[0] for verb in COMMANDS} | LOCAL_VERBS.keys():
        assert (f"\n  {name} " in listed) is (name not in {"node", "fleet-host"})


def test_nothing_typed_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == ExitCode.OK
    assert "Usage: ohmesh" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted({verb.words[0] for verb in COMMANDS} | LOCAL_VERBS.keys()))
def test_every_verb_has_help_within_eighty_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == ExitCode.OK
    assert all(len(line) <= 100 for line in capsys.readouterr().out.splitlines())


def test_every_local_verb_has_a_module_with_its_command() -> None:
    context = click.Context(application.application)
    for name in LOCAL_VERBS:
        command = application.application.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownTask("?"), ExitCode.NOTHING_MATCHED),
        (errors.InvalidArgument("?"), ExitCode.USAGE),
        (errors.AgentDefinitionError("?"), ExitCode.USAGE),
        (errors.NotAuthorised("?"), ExitCode.NOT_AUTHORISED),
        (errors.EngineUnavailable("?"), ExitCode.UNREACHABLE),
        (errors.MeshUnreachable("?"), ExitCode.UNREACHABLE),
        (errors.ResultTimeout("?"), ExitCode.PARTIAL),
        (errors.TaskFailed("?"), ExitCode.FAILED),
        (errors.EngineInUse("?"), ExitCode.FAILED),
        (errors.Backpressure("?", retry_after_ms=1), ExitCode.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: errors.OhmeshError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (
            errors.MeshUnreachable("Nobody answered.", hint="Start it."),
            6,
            "error: Nobody answered. Start it.",
        ),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("of ours"), 1, "error: ZeroDivisionError: of ours. This is a bug in ohmesh;"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_a_verb_raises_never_reaches_the_user_as_a_traceback(
    raised: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OHMESH_DEBUG", raising=False)
    monkeypatch.setattr(application, "_mute_stdout", lambda: None)

    @click.command("failing")
    def failing() -> None:
        raise raised

    monkeypatch.setattr(application.LazyGroup, "get_command", lambda self, ctx, name: failing)
    assert run(["failing"]) == code
    talk = capfd.readouterr().err
    assert talk.startswith(line)
    assert "Traceback" not in talk


@pytest.mark.parametrize(
    ("raised", "document"),
    [
        (
            errors.MeshUnreachable("Nobody answered.", hint="Start it."),
            {"error": {"code": "mesh_unreachable", "message": "Nobody answered.", "hint": "Start it."}},
        ),
        (
            errors.ResultTimeout("Not yet.", task_id="T"),
            {
                "task_id": "T",
                "state": "",
                "error": {"code": "result_timeout", "message": "Not yet.", "hint": ""},
            },
        ),
    ],
)
def test_with_json_an_error_is_a_document_on_stdout(
    raised: errors.OhmeshError,
    document: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command("failing")
    @json_option
    def failing(as_json: bool) -> None:
        raise raised

    monkeypatch.setattr(application.LazyGroup, "get_command", lambda self, ctx, name: failing)
    assert run(["failing", "--json"]) == exit_code_of(raised)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == document
    assert raised.message in printed.err


@pytest.mark.parametrize(
    "asked", [["--json"], ["--output", "json"], ["-ojsonl"], ["--output=jsonl"], ["-o", "jsonl"]]
)
def test_with_json_a_wrong_call_is_a_document_too(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", "k", "--prioritee", "high", *asked]) == ExitCode.USAGE
    printed = capsys.readouterr().out
    assert json.loads(printed)["error"]["code"] == "usage"
    assert (printed.count("\n") == 1) == ("jsonl" in asked[-1])


@pytest.mark.parametrize("asked", [[], ["--output", "csv"], ["--", "--json"]])
def test_without_json_a_wrong_call_prints_no_data(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", "k", "--prioritee", "high", *asked]) == ExitCode.USAGE
    assert capsys.readouterr().out == ""


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    listed = capsys.readouterr().out.partition("Exit codes:")[2].split()
    assert {str(int(code)) for code in ExitCode} <= set(listed)


def test_help_imports_neither_engine_nor_arrays_nor_sql() -> None:
    program = (
        "import sys\n"
        "from ohmesh.cli.application import run\n"
        "run(['--help'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'nats', 'numpy', 'sqlalchemy', 'asyncio', 'uvloop', 'nkeys', 'platformdirs'}))"
    )
    path = ":".join(part for part in sys.path if part)
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": path}
    )
    assert ran.stdout.splitlines()[-1] == "[]", ran.stdout + ran.stderr
