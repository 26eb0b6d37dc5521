"""Server-sent events (HTML standard, section "Server-sent events"): something that goes on, told as it happens.

    retry: 1000                 how soon a reader that lost the connection comes back

    id: 0-12.1,1-7              where it goes on, sent back as Last-Event-ID; only where it can go on
    event: task.succeeded
    data: {"kind": "text", ...} one line of JSON

    : alive                     where nothing happens for a while, so that a dead connection is noticed

A stream ends with what it tells, with its reader, or with the door; an error on the way is the event `error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ohmesh.api.config import ApiConfig
from ohmesh.api.encoding import encoded
from ohmesh.api.problems import defect, problem_of
from ohmesh.errors import Backpressure, OhmeshError

MEDIA_TYPE = "text/event-stream"
RECONNECT_MS = 1_000
_CROWDED_RETRY_MS = 5_000


class Told(Struct, frozen=True):
    """One event; `data` is what its JSON says, `cursor` where a reader goes on behind it."""

    event: str
    data: object
    cursor: str = ""


@dataclass(slots=True)
class Streams:
    """Those that are open, from the moment they are granted; all end once `closing` is set."""

    open: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)


def stream_response(
    streams: Streams, config: ApiConfig, story: AsyncGenerator[Told, None], *, base: str
) -> Response:
    """Backpressure when as many are open as may be."""
    if streams.open >= config.event_streams:
        raise Backpressure(
            f"{config.event_streams} streams of events are open here.", retry_after_ms=_CROWDED_RETRY_MS
        )
    return _CountedResponse(
        streams,
        _lines(streams, config.event_heartbeat_ms / 1000, story, base),
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store"},
    )


class _CountedResponse(StreamingResponse):
    """Its place is taken when it is made, before anything is awaited, and given back when it has been answered,
    whether or not its body ever began."""

    def __init__(self, streams: Streams, content: AsyncGenerator[bytes, None], **options: Any) -> None:
        super().__init__(content, **options)
        self._streams, self._content = streams, content
        streams.open += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1
            await self._content.aclose()


async def _lines(
    streams: Streams, heartbeat_s: float, story: AsyncGenerator[Told, None], base: str
) -> AsyncGenerator[bytes, None]:
    closing = asyncio.ensure_future(streams.closing.wait())
    upcoming = asyncio.ensure_future(_next(story))
    try:
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        while True:
            await asyncio.wait([upcoming, closing], timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if upcoming.done():
                told = upcoming.result()
                if told is None:
                    return
                yield event_lines(told)
                upcoming = asyncio.ensure_future(_next(story))
            elif closing.done():
                return
            else:
                yield b": alive\n\n"
    except OhmeshError as error:
        yield event_lines(Told("error", problem_of(error, base=base)))
    except Exception as error:
        yield event_lines(Told("error", problem_of(defect(error), base=base)))
        raise  # the gate logs it
    finally:
        closing.cancel()
        upcoming.cancel()
        await asyncio.gather(closing, upcoming, return_exceptions=True)
        await story.aclose()


def event_lines(told: Told) -> bytes:
    place = f"id: {told.cursor}\n" if told.cursor else ""
    return b"%sevent: %s\ndata: %s\n\n" % (place.encode(), told.event.encode(), encoded(told.data))


async def _next(story: AsyncGenerator[Told, None]) -> Told | None:
    return await anext(story, None)
