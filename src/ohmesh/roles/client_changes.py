"""Wishes about tasks that are there already: run them again, be rid of them, hold up a kind.

A wish is a question to the shards that hold the tasks, repeated until answered; its name makes that safe (see
ohmesh.protocols.queue.dead_letters). What is meant by "everything" may be more than one answer holds: it is asked on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ohmesh.model.limit import KindLimit
from ohmesh.model.message import ChangeTasks, KindState, TaskChange, TasksChanged
from ohmesh.model.subject import checked_name
from ohmesh.model.task import TaskEdit
from ohmesh.roles.client_requests import Requests
from ohmesh.roles.client_tracker import Tracker

IDS_IN_WISH = 1_000


class Changes:
    """`new_name` makes the names of wishes."""

    def __init__(self, requests: Requests, tracker: Tracker, new_name: Callable[[], str]) -> None:
        self._requests = requests
        self._tracker = tracker
        self._new_name = new_name

    async def of_tasks(self, change: TaskChange, task_ids: Sequence[str]) -> TasksChanged:
        """Durable when it returns; accounts for each id once, in the order asked for. MeshUnreachable: perhaps done."""
        wanted = list(dict.fromkeys(task_ids))
        places = await self._requests.locate(wanted)
        by_shard: dict[int, list[str]] = {}
        for task_id, shard in places.items():
            by_shard.setdefault(shard, []).append(task_id)
        wishes = [
            (shard, ChangeTasks(change, self._new_name(), ids[start : start + IDS_IN_WISH]))
            for shard, ids in by_shard.items()
            for start in range(0, len(ids), IDS_IN_WISH)
        ]
        answers = [await self._requests.change_tasks(shard, wish) for shard, wish in wishes]
        done = {task_id for answer in answers for task_id in answer.done}
        too_late = {task_id for answer in answers for task_id in answer.too_late}
        taken = {task_id for answer in answers for task_id in answer.key_taken}
        self._tracker.queued_again(done)
        return TasksChanged(
            [task_id for task_id in wanted if task_id in done],
            [task_id for task_id in wanted if task_id in too_late],
            [task_id for task_id in wanted if task_id not in done | too_late | taken],
            key_taken=[task_id for task_id in wanted if task_id in taken],
        )

    async def edit(self, task_id: str, edit: TaskEdit) -> TasksChanged:
        """Run a dead letter again, changed so. Durable when it returns."""
        places = await self._requests.locate([task_id])
        if task_id not in places:
            return TasksChanged([], unknown=[task_id])
        wish = ChangeTasks(TaskChange.REPLAY, self._new_name(), [task_id], edit=edit)
        answer = await self._requests.change_tasks(places[task_id], wish)
        self._tracker.queued_again(answer.done)
        return answer

    async def of_everything(self, change: TaskChange, kind: str = "") -> TasksChanged:
        """What is there now that it fits, of one kind or of all. MeshUnreachable: perhaps in part."""
        if kind:
            checked_name(kind, "kind")
        shards = self._requests.shards_of(kind)
        found = await asyncio.gather(*(self._everything_in(shard, change, kind) for shard in shards))
        done = [task_id for part in found for task_id in part.done]
        self._tracker.queued_again(done)
        return TasksChanged(done, key_taken=[task_id for part in found for task_id in part.key_taken])

    async def pause(self, kind: str, is_paused: bool) -> KindState:
        """Pause or resume; KindState says how it is then."""
        return await self._requests.pause_kind(checked_name(kind, "kind"), is_paused)

    async def limit(self, kind: str, limit: KindLimit | None) -> KindState:
        """Set the limit of a kind, or (None) take it away; KindState says how it is then."""
        return await self._requests.limit_kind(checked_name(kind, "kind"), limit)

    async def _everything_in(self, shard: int, change: TaskChange, kind: str) -> TasksChanged:
        name = self._new_name()
        done: list[str] = []
        key_taken: dict[str, None] = {}
        up_to = 0
        while True:
            wish = ChangeTasks(change, name, everything=True, kind=kind, up_to=up_to)
            answer = await self._requests.change_tasks(shard, wish)
            done += answer.done
            key_taken.update(dict.fromkeys(answer.key_taken))
            if not answer.has_more:
                return TasksChanged(done, key_taken=[task_id for task_id in key_taken if task_id not in done])
            up_to = answer.up_to
