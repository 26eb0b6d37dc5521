"""The verb about how the fleet has been."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_trend import AskTrend, TrendPage
from ohmesh.operations.moments import parse_duration_ms, parse_moment
from ohmesh.registry.fleet.part import parse_part
from ohmesh.roles.client import Client

STEPS = ("10s", "1min", "1h")


class FleetTrend(Struct, frozen=True, kw_only=True):
    part: Annotated[
        str,
        Meta(description="Of the mesh, a sector (s007) or a cluster (s007.c04).", extra={"positional": True}),
    ] = "mesh"
    since: Annotated[
        str, Meta(description="From then on: how long ago (2h, 1d) or a time (2026-01-31T10:00, UTC).")
    ] = "1h"
    until: Annotated[str, Meta(description="Up to then, said in the same ways; without it: now.")] = ""
    step: Annotated[
        str,
        Meta(
            description="10s (kept for an hour), 1min (for a day) or 1h (for 30 days); without it the finest that "
            "reaches back so far.",
            extra_json_schema={"enum": ["", *STEPS]},
        ),
    ] = ""

    def __post_init__(self) -> None:
        parse_part(self.part)
        parse_moment("since", self.since)
        if self.until:
            parse_moment("until", self.until)
        if self.step and self.step not in STEPS:
            raise InvalidArgument(
                f"step: no trend is kept in steps of {self.step!r}.", hint=f"One of {', '.join(STEPS)}."
            )


async def fleet_trend(client: Client, arguments: FleetTrend) -> TrendPage:
    since = parse_moment("since", arguments.since)
    until = parse_moment("until", arguments.until) if arguments.until else None
    question = AskTrend(
        part=arguments.part,
        start_ms=since.at_ms,
        ago_ms=since.ago_ms,
        end_ms=until.at_ms if until else 0,
        end_ago_ms=until.ago_ms if until else 0,
        step_ms=parse_duration_ms("step", arguments.step) if arguments.step else 0,
    )
    return await client.fleet.ask(question, TrendPage)
