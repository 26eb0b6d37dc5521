"""The verbs about dead letters, as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ohmesh.operations import arguments as a
from ohmesh.operations import dead_letters as dead_letter_operations
from ohmesh.operations.results import ChangedTasks, DeadLetters
from ohmesh.roles.client import Client


class Mending:
    """`client` is the role underneath."""

    client: Client

    async def dead_letters(self, *, kind: str = "", limit: int = 100, after: str = "") -> DeadLetters:
        """A page of dead letters, newest first: tasks that failed for good, or used up their attempts or their time."""
        query = a.ListDeadLetters(kind=kind, limit=limit, after=after)
        return await dead_letter_operations.list_dead_letters(self.client, query)

    async def replay(
        self,
        *task_ids: str,
        all: bool = False,  # noqa: A002 - the word of every door
        kind: str = "",
    ) -> ChangedTasks:
        """Run dead letters again: named ones, or all (of a kind). InvalidArgument when it is not clear which."""
        chosen = a.ReplayDeadLetters(task_ids=list(task_ids), all=all, kind=kind)
        return await dead_letter_operations.replay_dead_letters(self.client, chosen)

    async def edit_dead_letter(
        self,
        task_id: str,
        *,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        priority: str = "",
        timeout: float | None = None,
    ) -> ChangedTasks:
        """Run a dead letter again under its id, with these instead; what it was and its failures are kept."""
        wanted = a.EditDeadLetter(
            task_id=task_id,
            args=None if args is None else list(args),
            kwargs=None if kwargs is None else dict(kwargs),
            priority=priority,
            timeout_s=-1.0 if timeout is None else timeout,
        )
        return await dead_letter_operations.edit_dead_letter(self.client, wanted)

    async def purge_dead_letters(
        self,
        *task_ids: str,
        all: bool = False,  # noqa: A002 - the word of every door
        kind: str = "",
    ) -> ChangedTasks:
        """Take dead letters off the list: named ones, or all (of a kind). As tasks they stay what they were."""
        chosen = a.PurgeDeadLetters(task_ids=list(task_ids), all=all, kind=kind)
        return await dead_letter_operations.purge_dead_letters(self.client, chosen)
