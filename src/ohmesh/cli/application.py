"""The command line's entrance: which verbs there are, and how every failure becomes one line and an exit code.

Invariants:
- `ohmesh --help` imports click and the table of verbs, both light; a verb's own module is imported when it is chosen.
- No traceback reaches a user unless OHMESH_DEBUG=1; what is printed is `error: what happened. what to do`.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from ohmesh.cli.exit_codes import ExitCode, exit_code_of
from ohmesh.cli.options import typed_form
from ohmesh.cli.output import Output, OutputForm
from ohmesh.errors import InvalidSelector, OhmeshError, ResultTimeout, UsageError
from ohmesh.operations.commands import COMMANDS, GROUPS


@dataclass(frozen=True, slots=True)
class LocalVerb:
    """A verb that acts on this machine; `module` has its click command as `command`."""

    summary: str
    module: str
    hidden: bool = False


LOCAL_VERBS: dict[str, LocalVerb] = {
    "up": LocalVerb("Start a mesh on this machine and keep it running.", "ohmesh.cli.up"),
    "worker": LocalVerb("Run your @agent functions as a worker of a mesh.", "ohmesh.cli.worker"),
    "api": LocalVerb("Serve a mesh over HTTP; `ohmesh up` does so too.", "ohmesh.cli.api"),
    "lock": LocalVerb("Run a command while holding a named lock of the mesh.", "ohmesh.cli.lock"),
    "demo": LocalVerb("Watch a mesh do real work, lose a worker and lose nothing.", "ohmesh.cli.demo"),
    "doctor": LocalVerb(
        "Check this machine and the mesh, and say how to mend what is wrong.", "ohmesh.cli.doctor"
    ),
    "completion": LocalVerb("Print what makes your shell complete these words.", "ohmesh.cli.completion"),
    "context": LocalVerb("Name the meshes you work with, and choose one.", "ohmesh.cli.context"),
    "down": LocalVerb("End the mesh that `ohmesh up` started here.", "ohmesh.cli.down"),
    "fleet-host": LocalVerb("Run simulated agents.", "ohmesh.cli.fleet_host", hidden=True),
    "node": LocalVerb("Run the roles of a mesh; `ohmesh up` starts it.", "ohmesh.cli.node", hidden=True),
}

EVENT_VERBS = ("up", "worker", "api")

EPILOG = """Start with `ohmesh demo`, or with `ohmesh up` and then, in another terminal, `ohmesh submit text 'Hello!'`.

\b
Exit codes:
  0  done                        4  nothing matched, unknown task
  1  failed                      5  not confirmed
  2  wrongly called              6  engine or mesh not reached
  3  in part, or not in time     7  not authorised         130  interrupted"""


class LazyGroup(click.Group):
    """A group whose commands are made when they are chosen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in _summaries() if name not in LOCAL_VERBS or not LOCAL_VERBS[name].hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LOCAL_VERBS:
            command: object = importlib.import_module(LOCAL_VERBS[cmd_name].module).command
            assert isinstance(command, click.Command)
            return command
        if cmd_name in _summaries():
            from ohmesh.cli.verbs import command_of

            return command_of(cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A word that is none is answered with the nearest; click knows only commands that are made already."""
        word = args[0]
        known = self.list_commands(ctx)
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, word) is None:
            near = difflib.get_close_matches(word, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {word!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summaries()[name]) for name in self.list_commands(ctx)])


def _summaries() -> dict[str, str]:
    """Each word at the top of the tree and what it does, local verbs first."""
    registered = {verb.words[0]: GROUPS.get(verb.words[0], verb.summary) for verb in COMMANDS}
    return {name: verb.summary for name, verb in LOCAL_VERBS.items()} | registered


def _print_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from ohmesh.config import installed_version

        click.echo(f"ohmesh {installed_version()}")
        context.exit()


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def application() -> None:
    """One mesh for a fleet of agents: hand in tasks, they are done once and never lost."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        _mute_stdout()
        return ExitCode.OK


def _run(arguments: Sequence[str]) -> int:
    try:
        outcome = application.main(
            args=list(arguments) or ["--help"], prog_name="ohmesh", standalone_mode=False
        )
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.ClickException as error:
        Output().error(line := _usage_line(error))
        _print_document(arguments, _problem(UsageError.code, line))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except OhmeshError as error:
        excerpt = error.excerpt if isinstance(error, InvalidSelector) else ""
        _print_document(arguments, _document(error))
        return _report(error, str(error).removesuffix(excerpt), exit_code_of(error), excerpt)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must not print a traceback
        line = f"{type(error).__name__}: {error}. This is a bug in ohmesh; OHMESH_DEBUG=1 shows where."
        _print_document(arguments, _problem(OhmeshError.code, line))
        return _report(error, line, ExitCode.FAILED)


def _print_document(arguments: Sequence[str], document: dict[str, object]) -> None:
    """With --json or --output jsonl; one more line where the verb prints an event to a line."""
    form = typed_form(arguments)
    if form is OutputForm.TABLE:
        return
    if arguments[0] in EVENT_VERBS:
        Output().event("error", **document)
    elif form is OutputForm.JSONL:
        Output(form=form).rows([document], [])
    else:
        Output(form=form).data(document)


def _document(error: OhmeshError) -> dict[str, object]:
    """An error as JSON; of a task that has not ended in time, its id and how far it has come."""
    late = {}
    if isinstance(error, ResultTimeout) and error.task_id:
        late = {"task_id": error.task_id, "state": error.state}
    return {**late, **_problem(error.code, error.message, error.hint)}


def _problem(code: str, message: str, hint: str = "") -> dict[str, object]:
    return {"error": {"code": code, "message": message, "hint": hint}}


def _report(error: BaseException, line: str, code: ExitCode, excerpt: str = "") -> int:
    if os.environ.get("OHMESH_DEBUG") == "1":
        traceback.print_exception(error)
    Output().error(line, excerpt)
    return code


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "ohmesh"
    message = error.format_message().strip()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{path} --help`."


def _mute_stdout() -> None:
    """The reader of a pipe went away (`| head`): nothing more can be said there, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
