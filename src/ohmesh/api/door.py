"""What every part of the door shares: its settings, its mesh, who may ask, and what was answered already."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.config import ApiConfig
from ohmesh.api.encoding import encoded
from ohmesh.api.event_stream import Streams
from ohmesh.api.idempotency import Answers
from ohmesh.api.keyring import Keyring
from ohmesh.api.rate_limit import RateLimit
from ohmesh.errors import BodyRefused
from ohmesh.roles.client import Client

CALLER = "ohmesh.caller"  # in a request's scope: whom the gate let in


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """mesh: the client of the mesh; raises MeshUnreachable while it is away."""

    config: ApiConfig
    mesh: Callable[[], Client]
    keyring: Keyring
    rate_limit: RateLimit = field(default_factory=RateLimit)
    answers: Answers = field(init=False)
    streams: Streams = field(default_factory=Streams)
    now_s: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", Answers(self.config, self.now_s))


def base_of(request: Request) -> str:
    """The address of this server as the caller knows it; the gate has checked the host in it."""
    return str(request.base_url).rstrip("/")


def json_object(body: bytes) -> dict[str, object]:
    """The body of a request; one that is empty is an empty object."""
    if not body:
        return {}
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyRefused(f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise BodyRefused(f"The body is a {_name(document)}, not an object.", hint='Write {"name": value}.')
    return document


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encoded(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _name(document: object) -> str:
    names = {list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return names.get(type(document), "null")
