"""What a request to the address of a verb does: read its arguments, do it once, and answer with its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.door import CALLER, Door, json_object, json_response
from ohmesh.api.idempotency import HEADER, key_of, task_key
from ohmesh.api.routes import CONFIRM, IDS, KEY, PREFIX, QUERY_VALUES_MAX, WAIT, Address, first_listed
from ohmesh.errors import InvalidArgument, NotConfirmed, ResultTimeout
from ohmesh.model.fleet_request import OperationView
from ohmesh.model.task import TaskState
from ohmesh.operations.fleet_arguments import OperationArguments
from ohmesh.operations.results import TaskOutcome
from ohmesh.roles.client_tracker import unknown_task

Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint_of(door: Door, address: Address) -> Endpoint:
    async def read(request: Request) -> Response:
        return await _read(door, address, request)

    async def change(request: Request) -> Response:
        return await _change(door, address, request)

    return read if address.method == "GET" else change


async def _read(door: Door, address: Address, request: Request) -> Response:
    verb = address.verb
    values = _query_values(address, request)
    arguments = verb.parse(_with_bounded_wait(door, address, values))
    result = await verb.call(door.mesh(), arguments)
    if not address.is_item:
        return json_response(result, headers=_next_page(request, arguments, result))
    one = first_listed(result)
    if one is None:
        raise unknown_task(request.path_params[address.in_path])
    return json_response(one)


async def _change(door: Door, address: Address, request: Request) -> Response:
    body = await request.body()
    key = key_of(request.headers.get(HEADER, ""))
    what = b"\0".join([request.method.encode(), request.url.path.encode(), body])
    caller: str = request.scope[CALLER]
    arguments = _parsed(door, address, json_object(body), task_key(caller, key, what))

    async def produce() -> Response:
        return await _done(door, address, arguments)

    return await door.answers.once(caller, key, what, produce)


def _parsed(door: Door, address: Address, values: dict[str, object], key: str) -> Struct:
    verb = address.verb
    is_confirmed = values.pop(CONFIRM, False) is True if verb.confirmation else True
    fields = verb.arguments_type().__struct_fields__
    if key and KEY in fields and not values.get(KEY):
        values[KEY] = key
    arguments = verb.parse(_with_bounded_wait(door, address, values), strict=True)
    if not is_confirmed:
        raise NotConfirmed(
            f"{verb.confirmation.format(**msgspec.structs.asdict(arguments))} Nothing was done."
        )
    return arguments


async def _done(door: Door, address: Address, arguments: Struct) -> Response:
    """A task that has not ended is an answer too: it is durable, and its address says how it goes on."""
    try:
        result = await address.verb.call(door.mesh(), arguments)
    except ResultTimeout as late:
        result = TaskOutcome(late.task_id, TaskState(late.state or TaskState.QUEUED))
    if isinstance(result, TaskOutcome) and not result.is_final:
        return json_response(result, status=202, headers={"Location": task_address(result.task_id)})
    if isinstance(result, OperationView) and not result.is_decided:
        return json_response(result, status=202, headers={"Location": f"{PREFIX}/operations/{result.id}"})
    return json_response(result)


def task_address(task_id: str) -> str:
    return f"{PREFIX}/tasks/{task_id}"


def _query_values(address: Address, request: Request) -> dict[str, object]:
    """Repeated where a parameter may be repeated; a value that stands in the path cannot stand in the query."""
    repeated = {one.name for one in address.verb.parameters() if one.repeated}
    values: dict[str, object] = {}
    for name in request.query_params:
        given = request.query_params.getlist(name)
        if name in (address.in_path, IDS) and address.in_path:
            raise InvalidArgument(f"{name}: it stands in the path already.")
        if len(given) > QUERY_VALUES_MAX:
            raise InvalidArgument(f"{name}: given {len(given)} times; at most {QUERY_VALUES_MAX}.")
        if len(given) > 1 and name not in repeated:
            raise InvalidArgument(f"{name}: given {len(given)} times.", hint="Give it once.")
        values[name] = given if name in repeated else given[0]
    if address.in_path:
        value = request.path_params[address.in_path]
        values |= {IDS: [value]} if address.is_item else {address.in_path: value}
    return values


def _with_bounded_wait(door: Door, address: Address, values: dict[str, object]) -> dict[str, object]:
    """A wait holds a connection, so it has a bound of its own here; one that was not asked for is cut to it."""
    if issubclass(address.verb.arguments_type(), OperationArguments):
        return _with_bounded_operation(door, address, values)
    waits = [one for one in address.verb.parameters() if one.name == WAIT]
    if not waits:
        return values
    limit_s = door.config.wait_max_s
    default_s = waits[0].default
    if WAIT not in values and isinstance(default_s, int | float):
        return {**values, WAIT: min(default_s, limit_s)}
    try:
        wait_s = msgspec.convert(values[WAIT], float, strict=False)
    except msgspec.ValidationError:
        return values  # the verb says what is wrong with it
    if wait_s > limit_s:
        raise InvalidArgument(
            f"{WAIT}: {wait_s:g} s; over HTTP one request waits at most {limit_s:g} s.",
            hint="Ask again: the task goes on meanwhile.",
        )
    return values


def _with_bounded_operation(door: Door, address: Address, values: dict[str, object]) -> dict[str, object]:
    """What is not detached is waited for until its timeout."""
    limit_s = door.config.wait_max_s
    wanted = address.verb.parse(values, strict=True)
    assert isinstance(wanted, OperationArguments)
    if not wanted.detach and wanted.timeout_ms > limit_s * 1000:
        raise InvalidArgument(
            f"timeout: {wanted.timeout_ms / 1000:g} s; over HTTP one request waits at most {limit_s:g} s.",
            hint="Say detach: it goes on, and Location says where it is followed.",
        )
    return values


def _next_page(request: Request, arguments: Struct, result: Struct) -> dict[str, str]:
    after = getattr(result, "after", "")
    if not after or "after" not in arguments.__struct_fields__:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return {"Link": f'<{request.url.path}?{urlencode([*query, ("after", after)])}>; rel="next"'}
