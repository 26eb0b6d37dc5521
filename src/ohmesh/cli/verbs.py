"""Commands made of the registry of verbs: arguments, options, help and examples come from operations/commands.py.

A verb of one word is a command, `tasks list` is the command `list` in the group `tasks`; a group that has a `list` or a
`status` runs it when nothing else is said.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import click
import msgspec
from click.shell_completion import CompletionItem
from msgspec import Struct

from ohmesh.cli.awaited import await_ends, await_result, run_operation, submit_and_wait
from ohmesh.cli.confirmation import is_confirmed, named_mesh
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import output_of, output_options, read_settings, which_mesh_options
from ohmesh.cli.output import Output, OutputForm
from ohmesh.cli.presentation import COLUMNS, DRAWN, present
from ohmesh.cli.rows import checked_fields, field_names
from ohmesh.cli.watch import interval, watch, watch_options
from ohmesh.errors import InvalidArgument
from ohmesh.operations.arguments import DEFAULT_WAIT_S, Result, Submit, WaitTasks
from ohmesh.operations.command import Command, load
from ohmesh.operations.commands import COMMANDS, GROUPS, find_command
from ohmesh.operations.fleet_arguments import OperationArguments
from ohmesh.operations.parameter import Form, Parameter

if TYPE_CHECKING:
    from ohmesh.config import Config

_TYPES: dict[Form, click.ParamType[int] | click.ParamType[float]] = {
    Form.INTEGER: click.INT,
    Form.NUMBER: click.FLOAT,
}
_DEFAULT_VERBS = ("list", "status")
_NEGATIVE = re.compile(r"-\.?\d")
_NUMBER = re.compile(r"[+-]?\.?\d")
_SHIELD = "\0"
STREAM = "is_streamed"
SECRET = "secret"  # noqa: S105 - the name of a parameter
# Verbs that print line by line: where that is done, and the options that only a command line has
# (where one of them is STREAM, only with that).
_STREAMS: dict[str, tuple[str, tuple[click.Option, ...]]] = {
    "events": (
        "ohmesh.cli.event_lines:run",
        (click.Option(["-f", "--follow"], is_flag=True, help="Go on with what happens, until interrupted."),),
    ),
    "tasks stream": ("ohmesh.cli.stream_lines:run", ()),
    "submit": (
        "ohmesh.cli.stream_lines:run",
        (click.Option(["--stream", STREAM], is_flag=True, help="Print what it yields, item by item."),),
    ),
    "map": (
        "ohmesh.cli.map_lines:run",
        (
            click.Option(
                ["--input", "input_file"],
                type=click.File("r", encoding="utf-8"),
                metavar="FILE",
                help="Read items from its lines.",
            ),
        ),
    ),
}
LIVE = frozenset({"kind", "worker", "task_id", "task_ids"})  # parameters whose values live in the mesh
WAIT = "wait_s"  # `--wait` alone waits as long as the verbs that always wait


class VerbGroup(click.Group):
    """`ohmesh tasks --kind text` means `ohmesh tasks list --kind text`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        usual = [word for word in _DEFAULT_VERBS if word in self.commands]
        if bare and usual and not ctx.resilient_parsing:
            args = [usual[0], *args]
        return super().parse_args(ctx, args)


class VerbCommand(click.Command):
    """`-5` is a number and no option: it is hidden from click's parser behind a character that nobody can type.

    `--wait ID` is an option without its number and then an argument.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, self._shielded(self._with_numbers(args)))
        for name, value in ctx.params.items():
            if isinstance(value, tuple):
                ctx.params[name] = tuple(one.removeprefix(_SHIELD) for one in value)
            elif isinstance(value, str):
                ctx.params[name] = value.removeprefix(_SHIELD)
        return rest

    def _with_numbers(self, args: list[str]) -> list[str]:
        usual = {
            name: f"{name}={option.flag_value}"
            for option in self.params
            if isinstance(option, click.Option) and isinstance(option.flag_value, float)
            for name in option.opts
        }
        end = args.index("--") if "--" in args else len(args)
        after = [*args[1:], ""]
        return [
            usual[word] if at < end and word in usual and not _NUMBER.match(after[at]) else word
            for at, word in enumerate(args)
        ]

    def _shielded(self, args: list[str]) -> list[str]:
        options = [one for one in self.params if isinstance(one, click.Option) and not one.is_flag]
        with_value = {name for option in options for name in option.opts}
        before = ["", *args]
        end = args.index("--") if "--" in args else len(args)
        return [
            _SHIELD + word if at < end and _NEGATIVE.match(word) and before[at] not in with_value else word
            for at, word in enumerate(args)
        ]


def command_of(word: str) -> click.Command:
    """The command or group that stands under `word` at the top of the tree."""
    if word not in GROUPS:
        return _command(next(one for one in COMMANDS if one.words == (word,)))
    group = VerbGroup(word, help=GROUPS[word])
    for one in COMMANDS:
        if one.words[0] == word:
            group.add_command(_command(one))
    return group


def _command(verb: Command) -> click.Command:
    parameters = verb.parameters()

    def call(config_file: Path | None, **given: object) -> int:
        output = output_of(given)
        output.is_drawn = bool(given.get("graph"))
        output.fields = checked_fields(str(given["field_list"]), _known_fields(verb, output))
        arguments = _parsed(verb, parameters, given)
        settings = read_settings(given, config_file)
        if verb.confirmation and not given["yes"]:
            if verb.looks_up and not given["no_input"]:
                asyncio.run(_look_up(verb, arguments, settings))
            question = f"{named_mesh(settings)}: {_question(verb, arguments)}"
            if not is_confirmed(question, may_ask=not given["no_input"]):
                output.error("Not confirmed, nothing was changed. Say --yes to do it unasked.")
                return ExitCode.NOT_CONFIRMED
        if verb.name in _STREAMS and given.get(STREAM, True):
            return _streamed(verb, arguments, given, settings, output)
        if interval_s := interval(given.get("watch_s")):
            asyncio.run(_watch(verb, arguments, settings, output, interval_s))
        result = asyncio.run(_call(verb, arguments, settings, output))
        return present(result, output, verb=verb.name)

    command = click.command(
        verb.words[-1],
        cls=VerbCommand,
        help=f"{verb.summary}\n\n{verb.help}",
        short_help=verb.summary,
        epilog=f"Example: {verb.example}",
    )(which_mesh_options(output_options(call)))
    command.params[:0] = [_parameter(one) for one in parameters]
    command.params[len(parameters) : len(parameters)] = _STREAMS.get(verb.name, ("", ()))[1]
    if verb.result_type() in DRAWN:
        command.params.append(click.Option(["--graph"], is_flag=True, help="Draw when they were ready."))
    command.params += [*watch_options(verb), *_asking_options(verb)]
    return command


def _streamed(
    verb: Command, arguments: Struct, given: Mapping[str, object], settings: Config, output: Output
) -> int:
    """A verb whose results are printed while they come; its module has the function `run`."""
    from ohmesh.assembly import connect_client
    from ohmesh.mesh.async_mesh import Opening

    opening = Opening(lambda: connect_client(settings))
    run = cast("Callable[[Opening, Struct, Mapping[str, object], Output], int]", load(_STREAMS[verb.name][0]))
    return run(opening, arguments, given, output)


def _known_fields(verb: Command, output: Output) -> tuple[str, ...]:
    """What `--fields` may name: the fields of its JSON, and in a table the columns of that too."""
    result_type = verb.result_type()
    columns = COLUMNS.get(result_type, ()) if output.form is OutputForm.TABLE else ()
    return tuple(dict.fromkeys((*columns, *field_names(result_type))))


def _asking_options(verb: Command) -> list[click.Parameter]:
    """`--no-input` is taken by every verb, so that a script may say it to all; help shows it where one would ask."""
    asks = bool(verb.confirmation)
    said = "Never ask; what is not confirmed by --yes is not done."
    options: list[click.Parameter] = [
        click.Option(["--no-input"], is_flag=True, help=said, hidden=not asks),
    ]
    if asks:
        options.append(click.Option(["--yes"], is_flag=True, help="Do it without asking."))
    return options


def _question(verb: Command, arguments: Struct) -> str:
    return verb.confirmation.format(**msgspec.structs.asdict(arguments))


def _parsed(verb: Command, parameters: tuple[Parameter, ...], given: Mapping[str, object]) -> Struct:
    """What was typed, checked; what is wrong is called by the name under which it was typed."""
    try:
        return verb.parse(_values(parameters, given))
    except InvalidArgument as error:
        name, colon, reason = error.message.partition(":")
        typed = {one.name: one.metavar if one.positional else one.option for one in parameters}
        if colon and name in typed:
            error.message = f"{typed[name]}:{reason}"
        raise


async def _look_up(verb: Command, arguments: Struct, settings: Config) -> None:
    """Raises where there is nothing of that name, so that nobody is asked about it."""
    from ohmesh.assembly import connect_client

    async with connect_client(settings) as client:
        first = find_command(verb.looks_up)
        await first.call(client, first.parse(msgspec.structs.asdict(arguments)))


async def _call(verb: Command, arguments: Struct, settings: Config, output: Output) -> Struct:
    from ohmesh.assembly import connect_client

    async with connect_client(settings) as client:
        if isinstance(arguments, Submit) and arguments.wait_s:
            return await submit_and_wait(client, arguments, output)
        if isinstance(arguments, Result):
            return await await_result(client, arguments, output)
        if isinstance(arguments, WaitTasks):
            return await await_ends(client, arguments, output)
        if isinstance(arguments, OperationArguments):
            return await run_operation(client, arguments, output)
        return await verb.call(client, arguments)


async def _watch(
    verb: Command, arguments: Struct, settings: Config, output: Output, interval_s: float
) -> NoReturn:
    from ohmesh.assembly import connect_client

    async with connect_client(settings) as client:
        await watch(
            lambda: verb.call(client, arguments),
            output,
            interval_s,
            command=f"ohmesh {verb.name}",
            mesh=named_mesh(settings),
        )


def _parameter(one: Parameter) -> click.Parameter:
    if one.positional:
        return click.Argument(
            [one.name],
            metavar=_positional_metavar(one),
            required=one.required,
            nargs=-1 if one.repeated else 1,
            shell_complete=_completer(one),
        )
    if one.name == SECRET:  # nobody's process list or history is to show it
        return click.Option(
            ["--secret-file", SECRET],
            type=click.File("r", encoding="utf-8"),
            callback=lambda _context, _option, file: file.read().strip() if file else None,
            metavar="FILE",
            help=f"{one.help} Read from FILE; - is standard input.",
        )
    if one.form is Form.FLAG:
        return click.Option([*_words(one), one.name], is_flag=True, default=None, help=one.help)
    if one.name == WAIT:
        return click.Option(
            [one.option, one.name],
            is_flag=False,
            flag_value=DEFAULT_WAIT_S,
            type=click.FLOAT,
            metavar=f"[{one.metavar}]",
            help=f"{one.help} Without a number: {DEFAULT_WAIT_S:g}.",
        )
    return click.Option(
        [*_words(one), one.name],
        type=_TYPES.get(one.form, click.STRING),
        multiple=one.repeated,
        required=one.required,
        metavar=one.metavar,
        help=_help(one),
        shell_complete=_completer(one),
    )


def _words(one: Parameter) -> list[str]:
    return [one.short, one.option] if one.short else [one.option]


def _completer(one: Parameter) -> Callable[..., list[CompletionItem]] | None:
    """What a shell offers for it: its choices, or names of the mesh that is meant; imported when it is asked for."""
    if one.choices:
        return lambda _context, _parameter, begun: [
            CompletionItem(choice) for choice in one.choices if choice.lower().startswith(begun.lower())
        ]
    if one.name not in LIVE:
        return None

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        from ohmesh.cli.live_names import complete_name

        return complete_name(context, parameter, begun)

    return complete


def _positional_metavar(one: Parameter) -> str:
    name = one.metavar if one.required else f"[{one.metavar}]"
    return f"{name}..." if one.repeated else name


def _help(one: Parameter) -> str:
    choices = f" One of {', '.join(one.choices)}." if one.choices else ""
    default = "" if one.required or not one.default else f" [default: {one.default}]"
    return f"{one.help}{choices}{default}"


def _values(parameters: tuple[Parameter, ...], given: Mapping[str, object]) -> dict[str, object]:
    """What was typed, as the verb's arguments; what was not given is left to their defaults."""
    values: dict[str, object] = {}
    for one in parameters:
        value = given.get(one.name)
        if value is None or value == ():
            continue
        if one.repeated:
            texts = cast("tuple[str, ...]", value)
            values[one.name] = (
                _pairs(one, texts) if one.form is Form.PAIR else [_value(one, text) for text in texts]
            )
        else:
            values[one.name] = _value(one, value)
    return values


def _value(one: Parameter, given: object) -> object:
    return json_or_text(given) if one.form is Form.VALUE and isinstance(given, str) else given


def _pairs(one: Parameter, texts: tuple[str, ...]) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidArgument(f"{one.option} {text!r} is not a pair.", hint="Write name=value.")
        pairs[name] = json_or_text(value)
    return pairs


def json_or_text(text: str) -> object:
    """`3`, `[1, 2]`, `"3"`, `true` and `null` are JSON; `Hello!` is text."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return value
