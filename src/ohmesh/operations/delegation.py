"""One piece of work for one agent of the fleet: the best that there is, or the one that is named."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument, NoCapableAgentError
from ohmesh.model.fleet_message import Expectation, Verb
from ohmesh.model.fleet_reading import AgentsPage
from ohmesh.model.fleet_request import ListAgents, OperationView, StartOperation
from ohmesh.model.priority import parse_priority
from ohmesh.operations.arguments import PriorityName
from ohmesh.operations.fleet import operate
from ohmesh.operations.scopes import where_of
from ohmesh.roles.client import Client, id_of_key

BEST = "best_available"
MAX_TIMEOUT_S = 86_400.0
CANDIDATES = 3  # so many are tried where one says that it cannot


class Delegate(Struct, frozen=True, kw_only=True):
    task: Annotated[
        str,
        Meta(description="What is to be done.", min_length=1, max_length=60_000, extra={"positional": True}),
    ]
    to: Annotated[
        str,
        Meta(
            description="best_available: the active one of lowest impedance; an agent (s007.c04.a12); or the best of a "
            "sector, a cluster or a filter, such as 'capability=gpu and sector=7'.",
            min_length=1,
            max_length=2_000,
        ),
    ] = BEST
    timeout_seconds: Annotated[
        float, Meta(description="Wait so long until it is done.", gt=0, le=MAX_TIMEOUT_S)
    ] = 300.0
    priority: Annotated[PriorityName, Meta(description="A degraded fleet takes what is urgent only.")] = (
        "NORMAL"
    )
    key: Annotated[
        str, Meta(description="The same key is the same work, however often it is asked for.", max_length=200)
    ] = ""

    def __post_init__(self) -> None:
        _ = self.where
        parse_priority(self.priority)
        if "\0" in self.task:
            raise InvalidArgument("task: a text has no character of code 0.")

    @property
    def where(self) -> str:
        """Among whom; "" is everybody. Raises InvalidArgument."""
        return "" if self.to == BEST else where_of(self.to)


async def delegate(client: Client, arguments: Delegate) -> OperationView:
    """Who refuses is passed over for the next best, three at most; who is silent may be at it, so nobody else is asked.

    Raises NoCapableAgentError: nobody of those is active and on duty."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + arguments.timeout_seconds
    question = ListAgents(arguments.where, CANDIDATES, best=True)
    page = await client.fleet.ask(question, AgentsPage)
    view: OperationView | None = None
    for number, agent in enumerate(page.agents):
        left_s = deadline_s - loop.time()
        if view is not None and (not view.conflict or left_s <= 0):
            break
        view = await operate(client, _request(client, arguments, agent.agent, number, max(left_s, 0.001)))
    if view is None:
        raise NoCapableAgentError("Nobody is there to be given it.")
    return view


def _request(client: Client, wish: Delegate, agent: str, number: int, left_s: float) -> StartOperation:
    key = f"{wish.key}\0{number}" if wish.key else ""
    return StartOperation(
        operation=id_of_key(client.mesh, "operation", key) if key else client.fleet.new_id(),
        what="delegate",
        verb=Verb.ACT,
        payload=wish.task.encode(),
        where=f'agent="{agent}"',
        timeout_ms=left_s * 1000,
        rate=1.0,
        priority=parse_priority(wish.priority),
        expects=Expectation.ANSWER,
    )
