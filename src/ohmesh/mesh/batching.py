"""Many tasks by one call: `map`, which gathers their outcomes, and `submit_many`, which does not wait for them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, Protocol

from ohmesh.errors import InvalidArgument, TaskFailed
from ohmesh.mesh.opening import Agent, kind_of
from ohmesh.model.priority import Priority
from ohmesh.operations.chunks import ChunkedWork
from ohmesh.operations.mapping import LARGEST_CHUNK, AsyncMap
from ohmesh.roles.client import Client, TaskRequest


class Preparing(Protocol):
    """What a mesh that batches offers."""

    client: Client

    def prepare(self, kind: Agent, *arguments: object, **options: Any) -> TaskRequest: ...


class Batching:
    """Small tasks travel and run together; each has an id, a state, retries and a result of its own all the same."""

    def map(
        self: Preparing,
        kind: Agent,
        items: Iterable[object] | AsyncIterable[object],
        *,
        priority: Priority | str | int = Priority.NORMAL,
        timeout: float | None = None,
        retries: int | None = None,
        delay: float = 0.0,
        requires: Iterable[str] = (),
        wait: float | None = None,
    ) -> AsyncMap:
        """Submit a task for each item, with the item as its only argument, and gather the outcomes in their order.

        They are submitted once, when the map is first read; `submit_many` submits at once. Iterate over it (outcomes in
        the order of the items, as they come), over its `as_completed()` (with the place of the item, as they end), or
        take all at once: await it, or call `result()`. An outcome has state, value and failure; one that fails hides no
        other. wait: give up waiting for one after so long; None: however long it takes; 0: do not wait for any. The
        other options are those of `prepare`. A bounded number of items is on its way at a time.
        """
        options: dict[str, Any] = {
            "priority": priority,
            "timeout": timeout,
            "retries": retries,
            "delay": delay,
            "requires": capabilities_of(requires),
        }

        def prepare(item: object) -> TaskRequest:
            return self.prepare(kind, item, **options)

        name = kind if isinstance(kind, str) else kind_of(kind)
        return AsyncMap(items, ChunkedWork(self.client, name, prepare, wait, largest=LARGEST_CHUNK))

    async def submit_many(
        self: Preparing, /, kind: Agent, items: Iterable[object], **options: Any
    ) -> list[str]:
        """Submit a task for each item; returns their ids in the order of the items once all are durable.

        `options` are those of `map` but `wait`. Raises TaskFailed where some were refused; the others are submitted,
        and `map(..., wait=0)` says of each what became of it.
        """
        receipts = (await Batching.map(self, kind, items, **options, wait=0)).outcomes
        refused = [one for one in receipts if one.failure is not None]
        if refused:
            raise TaskFailed(
                f"{len(refused)} of {len(receipts)} items were refused; the first: "
                f"{str(refused[0].failure).rstrip('.')}.",
                hint="`map` with wait=0 has a receipt for each item.",
            )
        return [one.task_id for one in receipts]


def capabilities_of(requires: Iterable[str]) -> tuple[str, ...]:
    if isinstance(requires, str):
        raise InvalidArgument(
            f"requires={requires!r} is a text.", hint=f"Give a list of names: requires=[{requires!r}]."
        )
    return tuple(requires)
