"""The address of each verb, by rule and not by hand, so that a new verb has one without a line here.

1. A verb's address is /v1/ and its words: `queues pause` is /v1/queues/pause. What a group usually does needs no word:
   `list`, `status` and `start` at the end are left out. `ops` is written in full: /v1/operations.
2. What reads is asked by GET with parameters in the query; what changes is asked by POST with a JSON object.
3. A GET that needs one value has it at the end of its path: /v1/result/{task_id}.
4. A verb `... get` also has an address for one thing by its id: /v1/tasks/{task_id}, /v1/operations/{operation_id}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from ohmesh.operations.command import Command, Risk

PREFIX = "/v1"
IDS = "task_ids"
ONE_ID = "task_id"
CONFIRM = "confirm"
WAIT = "wait_s"
KEY = "key"
QUERY_VALUES_MAX = 500  # of one repeated parameter: an address has to stay below HEAD_BYTES_MAX
HEAD_BYTES_MAX = 256 * 1024
LEFT_OUT = ("list", "status", "start")
IN_FULL = {"ops": "operations"}
ID_PATTERN = "^[A-Za-z0-9_-]+$"


class Address(Struct, frozen=True):
    """in_path: the parameter at the end of the path, "" where there is none. is_item: one of what the verb lists.
    is_short: a second address of the same."""

    verb: Command
    method: str
    path: str
    in_path: str = ""
    is_item: bool = False
    is_short: bool = False

    @property
    def name(self) -> str:
        return f"{self.verb.method}_one" if self.is_item or self.is_short else self.verb.method

    def result_type(self) -> type[Struct]:
        return listed_type(self.verb.result_type()) if self.is_item else self.verb.result_type()


def addresses(verbs: Iterable[Command]) -> list[Address]:
    """Those of all verbs that are no local ones; fixed paths before those that end in a value."""
    found = [address for verb in verbs if not verb.local for address in _addresses(verb)]
    return sorted(found, key=lambda address: bool(address.in_path))


def listed_type(result: type[Struct]) -> type[Struct]:
    """What the first list of a result holds."""
    described = shapes.type_info(result)
    assert isinstance(described, shapes.StructType)
    for field in described.fields:
        if isinstance(field.type, shapes.ListType) and isinstance(field.type.item_type, shapes.StructType):
            return field.type.item_type.cls
    raise TypeError(f"{result.__name__} lists nothing")


def first_listed(result: Struct) -> Struct | None:
    """The first of what a result lists."""
    for value in msgspec.structs.asdict(result).values():
        if isinstance(value, list) and value and isinstance(value[0], Struct):
            return value[0]
    return None


def _addresses(verb: Command) -> Iterator[Address]:
    group = len(verb.words) > 1
    words = verb.words[:-1] if group and verb.words[-1] in LEFT_OUT else verb.words
    words = (IN_FULL.get(words[0], words[0]), *words[1:])
    path = "/".join([PREFIX, *words])
    if verb.risk is not Risk.READ:
        yield Address(verb, "POST", path)
        return
    needed = [one for one in verb.parameters() if one.positional and one.required]
    if len(needed) == 1 and not needed[0].repeated:
        name = needed[0].name
        yield Address(verb, "GET", f"{path}/{{{name}}}", in_path=name)
        if words[-1] == "get":
            short = "/".join([PREFIX, *words[:-1], f"{{{name}}}"])
            yield Address(verb, "GET", short, in_path=name, is_short=True)
        return
    yield Address(verb, "GET", path)
    if words[-1] == "get" and [one.name for one in needed] == [IDS]:
        yield Address(
            verb, "GET", "/".join([PREFIX, *words[:-1], f"{{{ONE_ID}}}"]), in_path=ONE_ID, is_item=True
        )
