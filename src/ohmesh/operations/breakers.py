"""The verbs about failures of agents, and about the breakers of clusters, sectors and the mesh."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.model.fleet_breaker import AskBreakers, BreakersPage, MoveBreaker
from ohmesh.model.fleet_failure import AskFailures, FailuresPage
from ohmesh.registry.fleet.part import parse_part
from ohmesh.roles.client import Client


class FleetBreakers(Struct, frozen=True, kw_only=True):
    """Of all regions."""


class FleetFailures(Struct, frozen=True, kw_only=True):
    """Of all agents."""


class BreakerPart(Struct, frozen=True, kw_only=True):
    part: Annotated[
        str,
        Meta(
            description="A cluster (s007.c04), a sector (s007) or the whole (mesh).",
            extra={"positional": True},
        ),
    ]

    def __post_init__(self) -> None:
        parse_part(self.part)


async def fleet_breakers(client: Client, arguments: FleetBreakers) -> BreakersPage:
    return await client.fleet.ask(AskBreakers(), BreakersPage)


async def open_breaker(client: Client, arguments: BreakerPart) -> BreakersPage:
    return await client.fleet.ask(MoveBreaker(part=arguments.part, is_open=True), BreakersPage)


async def close_breaker(client: Client, arguments: BreakerPart) -> BreakersPage:
    return await client.fleet.ask(MoveBreaker(part=arguments.part, is_open=False), BreakersPage)


async def fleet_failures(client: Client, arguments: FleetFailures) -> FailuresPage:
    return await client.fleet.ask(AskFailures(), FailuresPage)
