"""GET /v1/events: what happens in the mesh, as it happens, where the request accepts text/event-stream.

    id: 0-12.1,1-7           the cursor; a reader that comes back sends it as Last-Event-ID and misses nothing
    event: task.succeeded
    data: {"id": ..., "type": "io.ohmesh.task.succeeded.v1", ...}    as the verb `events` has it

A request that accepts anything else is the verb `events`, a page of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.door import Door, base_of
from ohmesh.api.event_stream import MEDIA_TYPE, Told, stream_response
from ohmesh.api.verbs import Endpoint
from ohmesh.errors import InvalidArgument
from ohmesh.operations.arguments import ReadEvents
from ohmesh.operations.events import read_events, stream_events
from ohmesh.operations.parameter import parse_arguments
from ohmesh.roles.client import Client

PATH = "/v1/events"
RESUME = "Last-Event-ID"
_PARAMETERS = ("after", "filter")


def paged_or_streamed(door: Door, page: Endpoint) -> Endpoint:
    """`page` answers whoever does not ask for a stream."""

    async def endpoint(request: Request) -> Response:
        if MEDIA_TYPE in request.headers.get("accept", ""):
            return await _stream(door, request)
        return await page(request)

    return endpoint


async def _stream(door: Door, request: Request) -> Response:
    """Behind Last-Event-ID, else behind `after`, else from now on. What cannot be read is refused before it begins."""
    strange = sorted(set(request.query_params) - set(_PARAMETERS))
    if strange:
        raise InvalidArgument(
            f"{strange[0]!r} is no parameter of a stream.", hint=f"There are: {', '.join(_PARAMETERS)}."
        )
    after = request.headers.get(RESUME, "") or request.query_params.get("after", "")
    text = request.query_params.get("filter", "")
    parse_arguments(ReadEvents, {"filter": text})
    first = await read_events(door.mesh(), parse_arguments(ReadEvents, {"after": after, "limit": 1}))
    story = _story(door.mesh(), after or first.after, text)
    return stream_response(door.streams, door.config, story, base=base_of(request))


async def _story(mesh: Client, after: str, text: str) -> AsyncGenerator[Told, None]:
    async for event in stream_events(mesh, after, text):
        yield Told(event.what, event, event.cursor)
