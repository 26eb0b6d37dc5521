"""Verbs that wait for the end of tasks, with a line on a terminal meanwhile that says how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from ohmesh.cli.output import Output
from ohmesh.cli.presentation import told_of
from ohmesh.cli.progress_line import shown
from ohmesh.errors import OhmeshError
from ohmesh.model.message import Progress
from ohmesh.operations.arguments import Result, Submit, WaitTasks
from ohmesh.operations.commands import find_command
from ohmesh.operations.fleet_arguments import OperationArguments

if TYPE_CHECKING:
    from ohmesh.operations.results import TaskOutcome
    from ohmesh.roles.client import Client
    from ohmesh.roles.client_handle import TaskHandle


async def submit_and_wait(client: Client, arguments: Submit, output: Output) -> Struct:
    """In two steps, so that whoever gives up waiting knows the id."""
    submitted = await find_command("submit").call(client, msgspec.structs.replace(arguments, wait_s=0.0))
    receipt = cast("TaskOutcome", submitted)
    told = told_of(receipt).replace(receipt.state, "submitted", 1)
    output.say(f"{receipt.task_id} is {told}; waiting up to {arguments.wait_s:g} s for its end")
    ended = await await_result(client, Result(task_id=receipt.task_id, wait_s=arguments.wait_s), output)
    return msgspec.structs.replace(
        ended, joined=receipt.joined, existed=receipt.existed, unserved=receipt.unserved
    )


async def await_result(client: Client, arguments: Result, output: Output) -> Struct:
    """The task's own progress is seen meanwhile."""
    async with shown(_steps(client, arguments.task_id), output):
        return await find_command("result").call(client, arguments)


async def await_ends(client: Client, arguments: WaitTasks, output: Output) -> Struct:
    """Of one task its own progress is seen meanwhile, of several how many have ended."""
    task_ids = list(dict.fromkeys(arguments.task_ids))
    steps = _steps(client, task_ids[0]) if len(task_ids) == 1 else _ends_counted(client, task_ids)
    async with shown(steps, output):
        return await find_command("tasks wait").call(client, arguments)


async def run_operation(client: Client, arguments: OperationArguments, output: Output) -> Struct:
    """Whoever gives up waiting is told its id: it goes on."""
    from ohmesh.operations.fleet import operate, request_of

    request = request_of(client, arguments)
    try:
        return await operate(client, request)
    except asyncio.CancelledError:
        output.say(f"operation {request.operation} goes on: ohmesh ops get {request.operation}")
        raise


async def _steps(client: Client, task_id: str) -> AsyncGenerator[Progress]:
    handle = await client.watch(task_id)
    async for step in handle.progress():
        yield step


async def _ends_counted(client: Client, task_ids: list[str]) -> AsyncGenerator[Progress]:
    """How many of those that the mesh knows have ended: at once, and at each end."""
    handles = await client.watch_many(task_ids)
    ends = [asyncio.create_task(_ended(handle)) for handle in handles.values()]
    ended = 0
    try:
        yield Progress("", 0, ended, len(ends), "ended")
        for next_end in asyncio.as_completed(ends):
            ended += await next_end
            yield Progress("", 0, ended, len(ends), "ended")
    finally:
        for one in ends:
            one.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def _ended(handle: TaskHandle) -> int:
    """1 once it has; 0 when its end will not be heard of, which the verb itself says."""
    try:
        await handle.end()
    except OhmeshError:
        return 0
    return 1
