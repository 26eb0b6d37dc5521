"""What the verbs about schedules take; the conventions are those of `arguments.py`."""

from __future__ import annotations

from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.priority import parse_priority
from ohmesh.model.schedule import CatchUp, Overlap, Schedule
from ohmesh.operations.arguments import MAX_PAGE_TASKS, Kind, PriorityName, Seconds, Value, ms_of
from ohmesh.operations.moments import parse_duration_ms

_POSITIONAL = {"positional": True}

Name = Annotated[str, Meta(min_length=1, max_length=64)]
CatchUpName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in CatchUp]})]
Choice = TypeVar("Choice", CatchUp, Overlap)
OverlapName = Annotated[str, Meta(extra_json_schema={"enum": [one.value for one in Overlap]})]


class AddSchedule(Struct, frozen=True, kw_only=True):
    name: Annotated[Name, Meta(description="What the schedule is called.", extra=_POSITIONAL)]
    kind: Annotated[Kind, Meta(description="Which agents may run its tasks.", extra=_POSITIONAL)]
    arguments: Annotated[
        list[Value],
        Meta(description="The tasks' positional arguments, each JSON or text.", extra=_POSITIONAL),
    ] = []
    named: Annotated[dict[str, Value], Meta(description="A named argument, as name=value.")] = {}
    cron: Annotated[
        str, Meta(description='When, as cron says it: "*/5 * * * *", "30 2 * * MON-FRI", @daily.')
    ] = ""
    timezone: Annotated[
        str, Meta(description="Whose local time cron speaks of, such as Europe/Zurich.", max_length=120)
    ] = "UTC"
    every: Annotated[str, Meta(description="Instead of cron: at this interval, such as 30s, 5min or 2h.")] = (
        ""
    )
    catch_up: Annotated[
        CatchUpName, Meta(description="Which of those that came while nobody dispatched are run.")
    ] = CatchUp.LAST.value
    overlap: Annotated[
        OverlapName, Meta(description="skip: none starts while the former one has not ended.")
    ] = Overlap.ALLOW.value
    priority: Annotated[PriorityName, Meta(description="Before which others they start.")] = "NORMAL"
    timeout_s: Annotated[
        Seconds, Meta(description="Stop an attempt after this long; 0: as its kind says.")
    ] = 0.0
    retries: Annotated[
        int, Meta(description="Further attempts after the first; -1: as their kind says.", ge=-1, le=1_000)
    ] = -1
    requires: Annotated[
        list[str], Meta(description="A capability that the agents must have, or host:WORKER.", max_length=32)
    ] = []
    replace: Annotated[bool, Meta(description="Put it in the place of another one of its name.")] = False

    def __post_init__(self) -> None:
        """Refuse what cannot be read before a mesh is asked."""
        from ohmesh.policies.schedule import check_schedule

        check_schedule(self.schedule(b"", 1))

    def schedule(self, payload: bytes, weight: int) -> Schedule:
        """InvalidArgument begins with the name of the field that is wrong."""
        return Schedule(
            self.name,
            self.kind,
            payload,
            self.cron,
            self.timezone,
            parse_duration_ms("every", self.every) if self.every else 0,
            _choice("catch_up", CatchUp, self.catch_up),
            _choice("overlap", Overlap, self.overlap),
            parse_priority(self.priority),
            ms_of(self.timeout_s),
            self.retries + 1,
            tuple(self.requires),
            weight,
        )


class ListSchedules(Struct, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(description="Only those of this kind.")] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_PAGE_TASKS)] = 100
    after: Annotated[str, Meta(description="The cursor that the page before ended with.")] = ""


class _OneSchedule(Struct, frozen=True, kw_only=True):
    name: Annotated[Name, Meta(description="The schedule.", extra=_POSITIONAL)]


class GetSchedule(_OneSchedule, frozen=True, kw_only=True):
    pass


class RemoveSchedule(_OneSchedule, frozen=True, kw_only=True):
    pass


class PauseSchedule(_OneSchedule, frozen=True, kw_only=True):
    pass


class ResumeSchedule(_OneSchedule, frozen=True, kw_only=True):
    pass


class RunSchedule(_OneSchedule, frozen=True, kw_only=True):
    pass


def _choice(name: str, choices: type[Choice], text: str) -> Choice:
    try:
        return choices(text.lower())
    except ValueError:
        raise InvalidArgument(
            f"{name}: {text!r} is none of {', '.join(one.value for one in choices)}."
        ) from None
