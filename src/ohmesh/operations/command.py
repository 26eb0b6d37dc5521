"""The shape of a verb: what every door needs to know of it, and nothing that is heavy to import.

A command names its arguments, its result and its function as "module:name" and loads them only when it is used, so a
list of all verbs (`ohmesh --help`, a completion) costs no msgspec, asyncio or engine. How a door is made of it:

* CLI: `words` is the place in the tree, `parameters()` gives options and their help, `parse(values)` checks what was
  typed, `call(client, arguments)` does it, `to_builtins(result)` is the `--json` form;
* REST: read -> GET, write -> POST, destructive -> POST with confirmation; the body's and the answer's schema are those
  of the two Structs (`msgspec.json.schema`), errors map by `OhmeshError.http_status`;
* MCP: one tool per command, its input schema from the same Struct, its annotations from `risk` and `idempotent`;
* console, dashboard: `words`, `scope` and `undo` make grammar, buttons and confirmations.

A verb is allowed to those whose role is at least `role`. A local verb (`local=True`: up, worker, doctor) acts on this
machine, has no function here and no door but the CLI.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from msgspec import Struct

    from ohmesh.operations.parameter import Parameter
    from ohmesh.roles.client import Client


class Risk(StrEnum):
    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"


class Scope(StrEnum):
    TASK = "task"
    QUEUE = "queue"
    WORKER = "worker"
    MESH = "mesh"
    FLEET = "fleet"


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`arguments`, `result` and `run` are "module:name"; `run` is `async (client, arguments) -> result`.

    `undo` is the name of the verb that takes it back, "" where there is none; `example` is a line that works.
    `confirmation` is what a door asks before it does something that is hard to take back, with parameters in braces;
    `looks_up` the verb that it calls before it asks, with the same arguments, which fails where there is no such thing.
    """

    name: str
    summary: str
    example: str
    arguments: str
    result: str = ""
    run: str = ""
    help: str = ""
    risk: Risk = Risk.READ
    idempotent: bool = True
    undo: str = ""
    confirmation: str = ""
    looks_up: str = ""
    scope: Scope = Scope.MESH
    role: Role = Role.VIEWER
    local: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """("tasks", "list"): the path in the CLI's tree."""
        return tuple(self.name.split())

    @property
    def method(self) -> str:
        """The name in Python, MCP and JSON: `tasks_list`."""
        return self.name.replace(" ", "_").replace("-", "_")

    def parameters(self) -> tuple[Parameter, ...]:
        """What can be given, in order: positional ones first."""
        from ohmesh.operations.parameter import parameters_of

        return parameters_of(self.arguments_type())

    def parse(self, values: Mapping[str, object], *, strict: bool = False) -> Struct:
        """The arguments from loose values; InvalidArgument says what is wrong. Texts become numbers unless `strict`."""
        from ohmesh.operations.parameter import parse_arguments

        return parse_arguments(self.arguments_type(), values, strict=strict)

    def arguments_type(self) -> type[Struct]:
        return cast("type[Struct]", load(self.arguments))

    def result_type(self) -> type[Struct]:
        return cast("type[Struct]", load(self.result))

    async def call(self, client: Client, arguments: Struct) -> Struct:
        operation = cast("Callable[[Client, Struct], Awaitable[Struct]]", load(self.run))
        return await operation(client, arguments)


def load(path: str) -> object:
    """The object that "module:name" names."""
    module, _, name = path.partition(":")
    return cast("object", getattr(import_module(module), name))
