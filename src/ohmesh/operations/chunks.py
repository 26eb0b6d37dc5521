"""Some items of a map handed in together: alone, or in one envelope where there are several small ones."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from ohmesh.errors import OhmeshError, ResultTimeout
from ohmesh.model.envelope import item_id
from ohmesh.model.task import TaskResult, TaskState
from ohmesh.operations.results import Failure, TaskOutcome
from ohmesh.operations.tasks import outcome_of
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import decode_values, encode_items

ENVELOPE_BYTES = 64_000

Prepare = Callable[[object], TaskRequest]
"""Checks one item and makes the request of a task of its own."""

Ahead = TaskOutcome | Callable[[], Coroutine[Any, Any, TaskOutcome]]
"""An outcome, or how to wait for one that is still to come."""


class ChunkedWork:
    """Called with items, it hands them in, and returns for each its outcome or how to wait for it, in their order.

    wait_s: how long to wait for the end of one (None: however long it takes; 0: not at all).
    largest: how many of them to give at a time. A kind with an estimator judges its tasks one by one.
    """

    def __init__(
        self, client: Client, kind: str, prepare: Prepare, wait_s: float | None, *, largest: int
    ) -> None:
        self.largest = 1 if kind in client.estimators else largest
        self._client = client
        self._prepare = prepare
        self._wait_s = wait_s

    async def __call__(self, items: Sequence[object]) -> list[Ahead]:
        if len(items) == 1:
            return [await self._alone(items[0])]
        try:
            template = self._prepare(items[0])
            payload = encode_items(items)
        except OhmeshError:  # of one of them: it has to be found, and must not hide the others
            return [partial(self._alone, item) for item in items]
        if len(payload) > ENVELOPE_BYTES:
            half = len(items) // 2
            return [*await self(items[:half]), *await self(items[half:])]
        request = structs.replace(template, payload=payload, items=len(items), weight=1)
        return await self._together(request)

    async def _together(self, request: TaskRequest) -> list[Ahead]:
        indices = range(request.items)
        try:
            handle = await self._client.submit(request)
        except OhmeshError as error:
            refused = TaskOutcome("", TaskState.SUBMITTED, failure=Failure(error.code, error.message))
            return [refused for _ in indices]
        if self._wait_s == 0:
            return [TaskOutcome(item_id(handle.id, index), TaskState.QUEUED) for index in indices]
        try:
            end = await handle.end(self._wait_s)
        except ResultTimeout:
            return [TaskOutcome(item_id(handle.id, index), handle.state) for index in indices]
        except OhmeshError as error:
            failure = Failure(error.code, error.message)
            return [
                TaskOutcome(item_id(handle.id, index), handle.state, failure=failure) for index in indices
            ]
        return self._outcomes(handle, end, request.items)

    def _outcomes(self, handle: TaskHandle, end: TaskResult, items: int) -> list[Ahead]:
        envelope_id, attempts = handle.id, end.attempts
        values: Sequence[object] = decode_values(end.value)
        succeeded = TaskState.SUCCEEDED
        if end.state is succeeded and not end.opened and len(values) == items:
            return [
                TaskOutcome(f"{envelope_id}.{index}", succeeded, value, None, attempts)
                for index, value in enumerate(values)
            ]
        rest = iter(values)
        opened = set(end.opened)
        found: list[Ahead] = []
        for index in range(items):
            task_id = item_id(envelope_id, index)
            if index in opened:
                found.append(partial(self._end_of, self._client.handle_of(task_id, handle.shard)))
            elif end.state is succeeded:
                found.append(TaskOutcome(task_id, succeeded, next(rest, None), None, attempts))
            else:
                found.append(outcome_of(TaskResult(task_id, end.state, b"", end.failure, attempts)))
        return found

    async def _alone(self, item: object) -> TaskOutcome:
        """Submit, and wait for the end. What goes wrong is its outcome."""
        try:
            handle = await self._client.submit(self._prepare(item))
        except OhmeshError as error:
            return TaskOutcome("", TaskState.SUBMITTED, failure=Failure(error.code, error.message))
        if self._wait_s == 0:
            return TaskOutcome(handle.id, TaskState.QUEUED)
        return await self._end_of(handle)

    async def _end_of(self, handle: TaskHandle) -> TaskOutcome:
        try:
            return outcome_of(await handle.end(self._wait_s))
        except ResultTimeout:
            return TaskOutcome(handle.id, handle.state)
        except OhmeshError as error:
            return TaskOutcome(handle.id, handle.state, failure=Failure(error.code, error.message))
