"""Schedules, as a client asks for them: a name belongs to one of the mesh, and its kind says which shard holds it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from ohmesh.errors import InvalidArgument, UnknownSchedule
from ohmesh.model.schedule import (
    ChangeSchedule,
    ListSchedules,
    Schedule,
    ScheduleChange,
    SchedulePage,
    ScheduleView,
    SetSchedule,
)
from ohmesh.model.subject import checked_name
from ohmesh.roles.client_requests import Requests


class Schedules:
    """`new_name` makes the names of wishes."""

    def __init__(self, requests: Requests, new_name: Callable[[], str]) -> None:
        self._requests = requests
        self._new_name = new_name

    async def set(self, schedule: Schedule, *, replaces: bool = False) -> ScheduleView:
        """Durable when it returns. InvalidArgument where another one has the name, unless it `replaces` it."""
        checked_name(schedule.name, "name of a schedule")
        (shard,) = self._requests.shards_of(checked_name(schedule.kind, "kind"))
        for place, present in (await self._found(schedule.name)).items():
            if place != shard:
                raise InvalidArgument(
                    f"name: the schedule {schedule.name!r} is one of kind {present.schedule.kind!r}.",
                    hint=f"Remove it first: ohmesh schedules remove {schedule.name}",
                )
        page = await self._requests.about_schedules(shard, SetSchedule(schedule, replaces))
        return page.schedules[0]

    async def get(self, name: str) -> ScheduleView:
        """With its payload. Raises UnknownSchedule."""
        return next(iter((await self._named(name)).values()))

    async def change(self, name: str, change: ScheduleChange) -> ScheduleView:
        """As it is then (as it was, where it is removed). Raises UnknownSchedule."""
        found = await self._named(name)
        for shard, before in found.items():
            wish = ChangeSchedule(name, change, self._new_name())
            page = await self._requests.about_schedules(shard, wish)
            found[shard] = page.schedules[0] if page.schedules else before
        return next(iter(found.values()))

    async def list(self, kind: str = "", *, limit: int = 100, after: str = "") -> SchedulePage:
        """By name over all shards, without their payloads."""
        shards = self._requests.shards_of(kind)
        query = ListSchedules(kind=kind, after=after, limit=limit)
        pages = await asyncio.gather(*(self._requests.about_schedules(shard, query) for shard in shards))
        found = list(heapq.merge(*(page.schedules for page in pages), key=lambda view: view.schedule.name))
        has_more = len(found) > limit or any(page.after for page in pages)
        # A page that ended early says nothing of what comes behind its end.
        ends = [page.after for page in pages if page.after]
        shown = [view for view in found if not ends or view.schedule.name <= min(ends)][:limit]
        total = sum(page.total for page in pages)
        return SchedulePage(shown, shown[-1].schedule.name if has_more and shown else "", total)

    async def _named(self, name: str) -> dict[int, ScheduleView]:
        found = await self._found(name)
        if not found:
            raise UnknownSchedule(
                f"There is no schedule {name!r}.", hint="`ohmesh schedules` lists those that there are."
            )
        return found

    async def _found(self, name: str) -> dict[int, ScheduleView]:
        """By shard; one, unless two of the name were added in the same moment."""
        shards = self._requests.shards_of("")
        query = ListSchedules(checked_name(name, "name of a schedule"))
        pages = await asyncio.gather(*(self._requests.about_schedules(shard, query) for shard in shards))
        return {shard: page.schedules[0] for shard, page in zip(shards, pages, strict=True) if page.schedules}
