"""The verbs that change the state of agents: each is one operation on the fleet."""

from __future__ import annotations

from ohmesh.model.fleet_message import Verb
from ohmesh.model.fleet_request import ContextView, GetContext, OperationView, StartOperation
from ohmesh.model.priority import Priority
from ohmesh.model.state_order import encode_state_order
from ohmesh.operations import fleet_state_arguments as a
from ohmesh.operations.fleet import operate
from ohmesh.roles.client import Client, id_of_key


async def freeze(client: Client, arguments: a.FreezeAgents) -> OperationView:
    return await _change(client, arguments)


async def thaw(client: Client, arguments: a.ThawAgents) -> OperationView:
    return await _change(client, arguments)


async def drain(client: Client, arguments: a.DrainAgents) -> OperationView:
    return await _change(client, arguments)


async def avoid(client: Client, arguments: a.AvoidAgents) -> OperationView:
    return await _change(client, arguments)


async def release(client: Client, arguments: a.ReleaseAgents) -> OperationView:
    return await _change(client, arguments)


async def heal(client: Client, arguments: a.HealAgents) -> OperationView:
    return await _change(client, arguments)


async def set_context(client: Client, arguments: a.SetContext) -> OperationView:
    """Raises InvalidArgument: the branch stands at another version than `base`."""
    return await _change(client, arguments)


async def merge_context(client: Client, arguments: a.MergeContext) -> OperationView:
    """Raises InvalidArgument: there is no such branch, or both changed the same entries."""
    return await _change(client, arguments)


async def verify_context(client: Client, arguments: a.CheckContext) -> OperationView:
    """Raises InvalidArgument: there is no such branch."""
    return await _change(client, arguments)


async def sync_context(client: Client, arguments: a.FetchContext) -> OperationView:
    """Raises InvalidArgument: that agent is not there, or has no context."""
    return await _change(client, arguments)


async def restore_context(client: Client, arguments: a.GoBackContext) -> OperationView:
    return await _change(client, arguments)


async def show_context(client: Client, arguments: a.ShowContext) -> ContextView:
    """Raises InvalidArgument: there is no such branch or version."""
    version = a.version_of_text("version", arguments.version)
    return await client.fleet.ask(GetContext(arguments.branch, version), ContextView)


async def _change(client: Client, arguments: a.StateArguments) -> OperationView:
    key = arguments.key
    request = StartOperation(
        operation=id_of_key(client.mesh, "operation", key) if key else client.fleet.new_id(),
        what=arguments.what,
        verb=Verb.SYNC,
        payload=encode_state_order(arguments.order()),
        where=arguments.where,
        timeout_ms=float(arguments.timeout_ms),
        rate=arguments.quorum,
        priority=Priority.HIGH,
        wait=not arguments.detach,
    )
    return await operate(client, request)
