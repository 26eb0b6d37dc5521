"""The command line's entrance: which verbs there are, and how every failure becomes one line and an exit code.

Invariants:
- `ohmesh --help` imports nothing but click: names and summaries stand here, a verb's module is imported when it is
  chosen (a test holds the summaries against the registry of verbs).
- No traceback reaches a user unless OHMESH_DEBUG=1; what is printed is `error: what happened. what to do`.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from ohmesh.cli.exit_codes import ExitCode, exit_code_of
from ohmesh.cli.output import Output
from ohmesh.errors import OhmeshError


@dataclass(frozen=True, slots=True)
class Verb:
    """`module` has the click command as `command`; without one the registry of verbs makes it."""

    summary: str
    module: str = ""
    hidden: bool = False


VERBS: dict[str, Verb] = {
    "up": Verb("Start a mesh on this machine and keep it running.", "ohmesh.cli.up"),
    "worker": Verb("Run your @agent functions as a worker of a mesh.", "ohmesh.cli.worker"),
    "demo": Verb("Watch a mesh do real work, lose a worker and lose nothing.", "ohmesh.cli.demo"),
    "submit": Verb("Hand in one task."),
    "result": Verb("Print what a task returned."),
    "tasks": Verb("List tasks, or look at, wait for and cancel some.", "ohmesh.cli.tasks"),
    "workers": Verb("List the workers and how they fare."),
    "status": Verb("Show the mesh in one screen."),
    "doctor": Verb("Check this machine and the mesh; say how to mend what is wrong.", "ohmesh.cli.doctor"),
    "down": Verb("End the mesh that `ohmesh up` started here.", "ohmesh.cli.down"),
    "node": Verb("Run the roles of a mesh (started by `ohmesh up`).", "ohmesh.cli.node", hidden=True),
}

EPILOG = "Start with `ohmesh demo`, or with `ohmesh up` and then, in another terminal, `ohmesh submit text 'Hello!'`."


class LazyGroup(click.Group):
    """A group whose commands are imported when they are chosen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        if not verb.module:
            return _registered(cmd_name)
        command = importlib.import_module(verb.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items() if not verb.hidden])


def _registered(name: str) -> click.Command:
    from ohmesh.cli.verbs import command_of

    return command_of(name)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ohmesh", message="ohmesh %(version)s")
def application() -> None:
    """One mesh for a fleet of agents: hand in tasks, they are done once and never lost."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        outcome = application.main(args=list(arguments), prog_name="ohmesh", standalone_mode=False)
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else error.format_message())  # noqa: T201 - help is the data here
        return ExitCode.OK
    except click.ClickException as error:
        Output().error(_usage_line(error))
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _mute_stdout()
        return ExitCode.OK
    except OhmeshError as error:
        return _report(error, str(error), exit_code_of(error))
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must not print a traceback
        return _report(
            error,
            f"{type(error).__name__}: {error}. This is a bug in ohmesh; OHMESH_DEBUG=1 shows where.",
            ExitCode.FAILED,
        )


def _report(error: BaseException, line: str, code: ExitCode) -> int:
    if os.environ.get("OHMESH_DEBUG") == "1":
        traceback.print_exception(error)
    Output().error(line)
    return code


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if isinstance(context, click.Context) else "ohmesh"
    message = error.format_message().strip()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{path} --help`."


def _mute_stdout() -> None:
    """The reader of a pipe went away (`| head`): nothing more can be said there, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
