"""The verbs about a fleet: who is there, and one message to many of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from ohmesh.errors import ResultTimeout
from ohmesh.model.fleet_reading import AgentsPage, FleetDescription, ScopesPage
from ohmesh.model.fleet_request import (
    DescribeFleet,
    GetOperation,
    ListAgents,
    ListOperations,
    ListScopes,
    OperationsPage,
    OperationView,
    StartOperation,
)
from ohmesh.model.priority import parse_priority
from ohmesh.operations import fleet_arguments as a
from ohmesh.operations.fleet_arguments import MAX_DURATION_MS
from ohmesh.operations.fleet_results import FleetAgentList, OperationList, OperationRecord, ScopeList
from ohmesh.roles.client import Client, id_of_key

NAMED = 30  # with no more targets than that each is shown by itself
LOOK_FIRST_S = 0.05
LOOK_S = 1.0


async def fleet_status(client: Client, _arguments: a.FleetStatus) -> FleetDescription:
    return await client.fleet.ask(DescribeFleet(), FleetDescription)


async def list_fleet_agents(client: Client, arguments: a.ListFleetAgents) -> FleetAgentList:
    after = int(arguments.after) if arguments.after else -1
    page = await client.fleet.ask(ListAgents(arguments.filter, arguments.limit, after), AgentsPage)
    following = str(page.after) if page.after >= 0 else ""
    return FleetAgentList(list(page.agents), page.total, arguments.filter, following, page.source)


async def best_agents(client: Client, arguments: a.BestAgents) -> FleetAgentList:
    """Raises NoCapableAgentError, with what is missing."""
    question = ListAgents(arguments.filter, arguments.limit, best=True, needed=tuple(arguments.capabilities))
    page = await client.fleet.ask(question, AgentsPage)
    return FleetAgentList(list(page.agents), page.total, source=page.source)


async def list_sectors(client: Client, _arguments: a.ListSectors) -> ScopeList:
    page = await client.fleet.ask(ListScopes(), ScopesPage)
    return ScopeList(list(page.scopes), page.source)


async def list_clusters(client: Client, arguments: a.ListClusters) -> ScopeList:
    question = ListScopes(clusters=True, sector=arguments.sector)
    page = await client.fleet.ask(question, ScopesPage)
    return ScopeList(list(page.scopes), page.source)


async def ping(client: Client, arguments: a.Ping) -> OperationView:
    return await operate(client, request_of(client, arguments))


async def broadcast(client: Client, arguments: a.Broadcast) -> OperationView:
    return await operate(client, request_of(client, arguments))


async def ask(client: Client, arguments: a.Ask) -> OperationView:
    return await operate(client, request_of(client, arguments))


async def cascade(client: Client, arguments: a.Cascade) -> OperationView:
    return await operate(client, request_of(client, arguments))


async def start_operation(client: Client, arguments: a.StartOne) -> OperationView:
    """Any of the four; decided where it is within `wait_s`, else as it stands by then."""
    view = await operate(client, request_of(client, arguments.wish()))
    if view.is_decided or not arguments.wait_s:
        return view
    try:
        return await _decided(client, view.id, arguments.wait_s)
    except ResultTimeout:
        return view


async def list_operations(client: Client, arguments: a.ListOperations) -> OperationList:
    page = await client.fleet.ask(ListOperations(arguments.limit), OperationsPage)
    return OperationList(list(page.operations))


async def get_operation(client: Client, arguments: a.OneOperation) -> OperationRecord:
    """Raises UnknownOperation."""
    question = GetOperation(arguments.operation_id, agents=arguments.agents)
    view = await client.fleet.ask(question, OperationView)
    if arguments.agents:
        view = await _with_all_agents(client, view)
    return OperationRecord(**{name: getattr(view, name) for name in OperationView.__struct_fields__})


async def wait_operation(client: Client, arguments: a.WaitOperation) -> OperationView:
    """Raises UnknownOperation, and ResultTimeout where it is not decided in time."""
    return await _decided(client, arguments.operation_id, arguments.wait_s)


def request_of(client: Client, arguments: a.OperationArguments) -> StartOperation:
    """With the id that it will have."""
    key, at_ms = arguments.key, arguments.at_ms
    left_ms = max(0.0, at_ms - time.time() * 1000) if at_ms else 0.0
    return StartOperation(
        operation=id_of_key(client.mesh, "operation", key) if key else client.fleet.new_id(),
        what=arguments.what,
        verb=arguments.verb,
        payload=arguments.payload,
        strategy=arguments.plan,
        where=arguments.where,
        sample=arguments.drawn,
        seed=arguments.seed,
        timing=arguments.how,
        window_ms=float(arguments.window_ms),
        at_ms=float(at_ms),
        timeout_ms=min(MAX_DURATION_MS, left_ms + arguments.timeout_ms),
        percent=arguments.percent,
        dry_run=arguments.dry_run,
        rate=arguments.quorum,
        priority=parse_priority(arguments.priority),
        approved=arguments.approved,
        wait=not arguments.detach or arguments.dry_run,
        expects=arguments.expects,
        expected=arguments.expect,
    )


async def operate(client: Client, request: StartOperation) -> OperationView:
    """Begin it and, unless it is detached, return once it is decided. A few targets are shown one by one."""
    view = await client.fleet.ask(request, OperationView)
    if request.wait and not request.dry_run and 0 < view.targets <= NAMED:
        return await client.fleet.ask(GetOperation(view.id, agents=True), OperationView)
    return view


async def _decided(client: Client, operation_id: str, wait_s: float) -> OperationView:
    loop = asyncio.get_running_loop()
    deadline_s, pause_s = loop.time() + wait_s, LOOK_FIRST_S
    while True:
        view = await client.fleet.ask(GetOperation(operation_id), OperationView)
        left_s = deadline_s - loop.time()
        if view.is_decided:
            return view
        if left_s <= 0:
            raise ResultTimeout(
                f"Operation {operation_id} is not decided after {wait_s:g} s: {view.ready} of {view.sent} are ready.",
                hint=f"It goes on: ohmesh ops wait {operation_id}",
            )
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, LOOK_S)


async def _with_all_agents(client: Client, first: OperationView) -> OperationView:
    """The pages that follow, put behind the first."""
    pages: list[OperationView] = [first]
    while pages[-1].after >= 0:
        question = GetOperation(first.id, agents=True, after=pages[-1].after)
        pages.append(await client.fleet.ask(question, OperationView))
    return msgspec.structs.replace(
        pages[-1],
        agents=_joined([page.agents for page in pages]),
        states=_joined([page.states for page in pages]),
        ready_ms=_joined([page.ready_ms for page in pages]),
    )


def _joined(parts: Sequence[tuple[object, ...]]) -> tuple[object, ...]:
    return tuple(one for part in parts for one in part)
