"""The news of a step as messages, none larger than a frame may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

from ohmesh.model.frame import MAX_FRAME_BYTES
from ohmesh.model.message import (
    Accepted,
    CancelAnswer,
    Enquire,
    Finished,
    Grants,
    Revoke,
    Settled,
    ToClient,
    ToHost,
)
from ohmesh.model.task import TaskResult
from ohmesh.protocols.queue.sizes import failure_bytes
from ohmesh.protocols.queue.step import ClientNews, HostNews

IDS_IN_MESSAGE = 10_000
REFUSALS_IN_MESSAGE = 1_000
RESULT_BYTES = 128

Item = TypeVar("Item")


def host_messages(news: HostNews, shard: int, epoch: int) -> Iterator[ToHost]:
    """Grants before what revokes them."""
    if news.enquire:
        yield Enquire(shard, epoch, news.instead_of)
    for batch in news.grants:
        yield Grants(shard, epoch, batch.number, batch.grants)
    for leases in _parts(news.settled, IDS_IN_MESSAGE):
        yield Settled(shard, epoch, leases)
    for leases in _parts(news.revoked, IDS_IN_MESSAGE):
        yield Revoke(shard, epoch, leases)


def client_messages(news: ClientNews) -> Iterator[ToClient]:
    """Acceptance before the end of the same task."""
    for ids in _parts(news.accepted, IDS_IN_MESSAGE):
        yield Accepted(ids, unserved=sorted(news.unserved))
    for ids in _parts(news.existing, IDS_IN_MESSAGE):
        yield Accepted(ids, existed=True)
    for refusals in _parts(news.refused, REFUSALS_IN_MESSAGE):
        yield Accepted([], refusals)
    for pairs in _parts(news.joined, REFUSALS_IN_MESSAGE):
        yield Accepted([], [], pairs)
    for ids in _parts(news.cancelled, IDS_IN_MESSAGE):
        yield CancelAnswer(ids)
    for ids in _parts(news.too_late, IDS_IN_MESSAGE):
        yield CancelAnswer([], ids)
    for ids in _parts(news.not_cancellable, IDS_IN_MESSAGE):
        yield CancelAnswer([], [], ids)
    for results in _results(news.finished):
        yield Finished(results)
    for ids in _parts(news.unknown, IDS_IN_MESSAGE):
        yield Finished([], ids)


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _results(results: Sequence[TaskResult]) -> Iterator[list[TaskResult]]:
    part: list[TaskResult] = []
    size = 0
    for ended in results:
        cost = RESULT_BYTES + len(ended.value) + (failure_bytes(ended.failure) if ended.failure else 0)
        if part and size + cost > MAX_FRAME_BYTES // 2:
            yield part
            part, size = [], 0
        part.append(ended)
        size += cost
    if part:
        yield part
