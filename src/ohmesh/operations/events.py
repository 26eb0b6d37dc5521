"""The verb `events`, a page of what happened, and `stream_events`, which goes on as it happens."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing

from msgspec import Struct

from ohmesh.model.event import Event
from ohmesh.operations import arguments as a
from ohmesh.operations.event_types import check_types
from ohmesh.registry.fields import EVENTS
from ohmesh.registry.rows import EVENT_SOURCES, matcher
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.client import Client

LOOKED_AT = 100_000


class EventPage(Struct, frozen=True):
    """`after` goes on behind this page; it may be asked for again where nothing has happened since."""

    events: list[Event]
    after: str = ""
    filter: str = ""

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))


async def read_events(client: Client, arguments: a.ReadEvents) -> EventPage:
    """With `after` the first that match behind it, without it the newest of the last `limit` entries of each log."""
    stream = client.event_stream()
    is_meant = _sieve(client, arguments.filter)
    selection = str(compile_selector(arguments.filter, EVENTS)) if arguments.filter else ""
    if not arguments.after:
        await stream.begin_before_end(arguments.limit)
        newest: deque[Event] = deque(maxlen=arguments.limit)
        while events := await stream.read():
            newest.extend(filter(is_meant, events))
        return EventPage(list(newest), stream.cursor, selection)
    await stream.begin(arguments.after)
    found: list[Event] = []
    looked_at = 0
    while looked_at < LOOKED_AT and (events := await stream.read()):
        looked_at += len(events)
        for event in filter(is_meant, events):
            found.append(event)
            if len(found) == arguments.limit:
                return EventPage(found, event.cursor, selection)
    return EventPage(found, stream.cursor, selection)


async def stream_events(client: Client, after: str = "", filter: str = "") -> AsyncGenerator[Event]:  # noqa: A002
    """For ever, what matches: behind the cursor `after`, from "start", or ("") from now on. Each event's `cursor` is
    what a reader that comes back passes as `after`. Raises InvalidArgument, InvalidSelector, MeshUnreachable."""
    is_meant = _sieve(client, filter)
    stream = client.event_stream()
    await stream.begin(after)
    async with aclosing(stream.follow()) as events:
        async for event in events:
            if is_meant(event):
                yield event


def _sieve(client: Client, text: str) -> Callable[[Event], bool]:
    """As `matcher`, with ages counted at the moment of looking."""
    if not text:
        return lambda _event: True
    selector = compile_selector(text, EVENTS)
    check_types(selector)

    def is_meant(event: Event) -> bool:
        return matcher(selector, EVENT_SOURCES, client.requests.now_ms())(event)

    return is_meant
