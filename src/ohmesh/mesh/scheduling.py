"""The verbs about schedules, as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import Iterable

from ohmesh.mesh.opening import Agent, kind_of
from ohmesh.model.priority import Priority
from ohmesh.operations import schedule_arguments as a
from ohmesh.operations import schedules as operations
from ohmesh.operations.results import TaskOutcome
from ohmesh.operations.schedule_results import ScheduleDescription, ScheduleList
from ohmesh.roles.client import Client


class Scheduling:
    """`client` is the role underneath."""

    client: Client

    async def add_schedule(
        self,
        name: str,
        kind: Agent,
        /,
        *arguments: object,
        cron: str = "",
        timezone: str = "UTC",
        every: float | str = "",
        catch_up: str = "last",
        overlap: str = "allow",
        priority: Priority | str | int = Priority.NORMAL,
        timeout: float | None = None,
        retries: int | None = None,
        requires: Iterable[str] = (),
        replace: bool = False,
        **named: object,
    ) -> ScheduleDescription:
        """Have a task of this kind made again and again; the mesh holds the schedule, not this program.

        cron: "30 2 * * MON-FRI", "@daily", in the local time of `timezone`; or every: seconds, or text such as "5min".
        catch_up: none, last or all of the occurrences that came while nobody dispatched. overlap: "skip" starts none
        while the former one has not ended. replace: put it in the place of another one of its name; the same one again
        changes nothing. The rest is that of `submit`. Raises InvalidArgument, which names what is wrong.
        """
        wanted = a.AddSchedule(
            name=name,
            kind=kind_of(kind),
            arguments=list(arguments),
            named=named,
            cron=cron,
            timezone=timezone,
            every=every if isinstance(every, str) else f"{every:.3f}s",
            catch_up=catch_up,
            overlap=overlap,
            priority=Priority(priority).name if isinstance(priority, int) else priority,
            timeout_s=timeout or 0.0,
            retries=-1 if retries is None else retries,
            requires=list(requires),
            replace=replace,
        )
        return await operations.add_schedule(self.client, wanted)

    async def schedules(self, *, kind: str = "", limit: int = 100, after: str = "") -> ScheduleList:
        """A page of schedules, by name: when each is due next, and its last task."""
        wanted = a.ListSchedules(kind=kind, limit=limit, after=after)
        return await operations.list_schedules(self.client, wanted)

    async def schedule(self, name: str) -> ScheduleDescription:
        """One schedule with the arguments of its tasks. Raises UnknownSchedule."""
        return await operations.get_schedule(self.client, a.GetSchedule(name=name))

    async def remove_schedule(self, name: str) -> ScheduleDescription:
        """Make no more tasks of it, ever; those that were made stay. Returns it as it was. Raises UnknownSchedule."""
        return await operations.remove_schedule(self.client, a.RemoveSchedule(name=name))

    async def pause_schedule(self, name: str) -> ScheduleDescription:
        """Make no more tasks of it until `resume_schedule`; what is due meanwhile is left out."""
        return await operations.pause_schedule(self.client, a.PauseSchedule(name=name))

    async def resume_schedule(self, name: str) -> ScheduleDescription:
        """Make tasks of it again, from its next time on."""
        return await operations.resume_schedule(self.client, a.ResumeSchedule(name=name))

    async def run_schedule(self, name: str) -> TaskOutcome:
        """Make one task of it now; the answer is a receipt with its id, which `result` and `get` take."""
        return await operations.run_schedule(self.client, a.RunSchedule(name=name))
