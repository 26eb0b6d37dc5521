"""An event: one thing that happened in the mesh, as it stands in a shard's log; and where a reader is.

A cursor names for each shard the last event that was read: "0-123.4,1-77" is event 4 of entry 123 of shard 0, and all
of entry 77 of shard 1. Reading goes on behind it, and nothing is read twice or left out.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument

PREFIX, VERSION = "io.ohmesh.", ".v1"
START = "start"
Value = Annotated[object, Meta(extra_json_schema={"title": "any JSON value"})]
_ALL = 1 << 62
_PLACE = re.compile(r"(\d{1,9})-(\d{1,18})(?:\.(\d{1,9}))?\Z")


EVENT_TYPES = (
    *(
        "task.submitted",
        "task.started",
        "task.retrying",
        "task.returned",
        "task.succeeded",
        "task.failed",
        "task.dead",
    ),
    *("task.timed_out", "task.cancelled", "task.requeued", "task.purged"),
    *("worker.joined", "worker.changed", "worker.offline", "worker.left"),
    *("kind.paused", "kind.resumed", "kind.limited", "kind.unlimited"),
    *("schedule.set", "schedule.removed", "schedule.paused", "schedule.resumed", "schedule.skipped"),
    *("lock.taken", "lock.released"),
    *("shard.epoch_started", "shard.tail_lost", "shard.snapshot_taken", "shard.gap"),
)
"""What may happen, without what is the same in all types."""


class Event(Struct, frozen=True):
    """`id` ("shard:entry:place in it") is the same for every reader; `cursor` is where a reader of this stream goes on.

    type: io.ohmesh.<what>.v1, as in CloudEvents. time_ms: the mesh's. subject: the task, worker, kind or shard.
    """

    id: str
    type: str
    time_ms: int
    subject: str
    shard: int
    kind: str = ""
    data: dict[str, Value] = {}
    cursor: str = ""

    @property
    def what(self) -> str:
        """The type without what is the same in all: `task.succeeded`."""
        return self.type.removeprefix(PREFIX).removesuffix(VERSION)

    def __str__(self) -> str:
        told = "".join(f" {name}={value}" for name, value in self.data.items() if value not in ("", 0))
        return f"{self.what} {self.subject}{f' {self.kind}' if self.kind else ''}{told}"


class Place(NamedTuple):
    """In one shard: up to event `index` of entry `sequence` all is read; by default all of that entry."""

    sequence: int
    event: int = _ALL

    @property
    def is_whole(self) -> bool:
        return self.event == _ALL


def parse_cursor(text: str, shards: int) -> dict[int, Place]:
    """A place for each shard. Raises InvalidArgument."""
    if text == START:
        return {shard: Place(0) for shard in range(shards)}
    places: dict[int, Place] = {}
    for part in text.split(","):
        match = _PLACE.match(part.strip())
        if match is not None:
            places[int(match[1])] = Place(int(match[2]), _ALL if match[3] is None else int(match[3]))
    if set(places) != set(range(shards)) or len(places) != text.count(",") + 1:
        raise InvalidArgument(
            f"{text!r} is not a cursor of events of this mesh, which has {shards} shard(s).",
            hint=f"Pass the `cursor` of an event or the `after` of a page unchanged, or {START!r}.",
        )
    return places


def format_cursor(places: dict[int, Place]) -> str:
    return ",".join(
        f"{shard}-{place.sequence}{'' if place.is_whole else f'.{place.event}'}"
        for shard, place in sorted(places.items())
    )
