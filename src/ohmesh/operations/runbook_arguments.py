"""What procedures take."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_care import MAX_ADDED
from ohmesh.operations.arguments import Seconds
from ohmesh.registry.fleet.part import parse_part

DryRun = Annotated[bool, Meta(description="Say what each step would do, and do nothing.")]


class DailyCheck(Struct, frozen=True, kw_only=True):
    dry_run: DryRun = False


class SilentSector(Struct, frozen=True, kw_only=True):
    sector: Annotated[
        str, Meta(description="The sector, as in s007.", max_length=16, extra={"positional": True})
    ]
    dry_run: DryRun = False

    def __post_init__(self) -> None:
        _ = self.number

    @property
    def number(self) -> int:
        """Raises InvalidArgument: no sector."""
        part = parse_part(self.sector)
        if part.sector is None or part.cluster is not None:
            raise InvalidArgument(f"sector: {self.sector!r} is not a sector.", hint="Write it as s007.")
        return part.sector


class AddAgents(Struct, frozen=True, kw_only=True):
    count: Annotated[int, Meta(description="How many.", ge=1, le=MAX_ADDED, extra={"positional": True})]
    own: Annotated[
        bool,
        Meta(description="For agents of your own: places are planned, and they are waited for."),
    ] = False
    wait_s: Annotated[Seconds, Meta(description="Wait so long until they are there.")] = 60.0
    key: Annotated[
        str,
        Meta(
            description="The same key goes on with the same agents; the report names it.",
            max_length=64,
            pattern="^[A-Za-z0-9_-]*$",
        ),
    ] = ""
    dry_run: DryRun = False
