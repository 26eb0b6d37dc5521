"""The verbs that only look, as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ohmesh.model.event import Event
from ohmesh.operations import agents as agent_operations
from ohmesh.operations import arguments as a
from ohmesh.operations import dead_letters as dead_letter_operations
from ohmesh.operations import events as event_operations
from ohmesh.operations import explanation as explanation_operations
from ohmesh.operations import tasks as task_operations
from ohmesh.operations.agents import AgentList
from ohmesh.operations.explanation import ExplainedTask
from ohmesh.operations.results import DeadLetterDetails, TaskOutcomes
from ohmesh.operations.streams import items as stream_items
from ohmesh.roles.client import Client
from ohmesh.roles.client_stream import NOTHING_BEFORE, StreamItem, unbroken, values_of


class Observation:
    """`client` is the role underneath."""

    client: Client

    async def wait(self, *task_ids: str, timeout: float = a.DEFAULT_WAIT_S) -> TaskOutcomes:
        """Wait until tasks of any program have ended; those that have not in time are named under `unfinished`."""
        wanted = a.WaitTasks(task_ids=list(task_ids), wait_s=timeout)
        return await task_operations.wait_tasks(self.client, wanted)

    async def dead_letter_details(self, *task_ids: str) -> DeadLetterDetails:
        """Dead letters with their arguments and every kept failure; what is none is named under `unknown`."""
        wanted = a.GetDeadLetters(task_ids=list(task_ids))
        return await dead_letter_operations.get_dead_letters(self.client, wanted)

    async def explain(self, task_id: str) -> ExplainedTask:
        """Why a task is where it is, agent by agent. Raises UnknownTask."""
        return await explanation_operations.explain(self.client, a.ExplainTask(task_id=task_id))

    def events(self, *, after: str = "", filter: str = "") -> AsyncGenerator[Event]:  # noqa: A002
        """What happens in the mesh, for ever: from now on, from "start", or behind the cursor of an event.

        filter: a selector, such as "type=task.* and kind=text". Where the logs do not reach back to the cursor, an
        event shard.gap says so.
        """
        return event_operations.stream_events(self.client, after, filter)

    async def agents(self, *, filter: str = "") -> AgentList:  # noqa: A002 - the word of every door
        """Agents, those of offline workers too; `filter` is a selector, such as "kind=text and free>0"."""
        return await agent_operations.list_agents(self.client, a.ListAgents(filter=filter))

    async def stream(self, task_id: str) -> AsyncGenerator[object]:
        """What any task yields, by its id, from its first item on; see `stream` of its handle."""
        async with aclosing(values_of(unbroken(task_id, self.items(task_id)))) as values:
            async for value in values:
                yield value

    def items(self, task_id: str, after: tuple[int, int] = NOTHING_BEFORE) -> AsyncGenerator[StreamItem]:
        """The same with attempt and number; a higher attempt, or number 0 again, begins anew."""
        return stream_items(self.client, task_id, after)
