"""Who may ask, before anything of a request is read: an ASGI layer around the whole door.

    room      no more than so many requests at once           429
    host      the name asked for is one of ours               421   against DNS rebinding
    origin    a browser's page is our own, or was allowed     403   against pages from elsewhere
    token     Authorization: Bearer ..., but for public pages 401
    rate      so many requests a minute                       429
    size      the body is no larger than the limit            413

Invariants: what is public is judged by the path of the request line alone, which no header can change; every refusal,
ours or of what lies within, leaves as a problem; what an unforeseen exception says is for the log, and a caller hears
of it no more than that there was one.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ohmesh.api.door import CALLER, Door, base_of
from ohmesh.api.problems import defect, problem_response
from ohmesh.errors import (
    Backpressure,
    BodyTooLarge,
    HostRefused,
    OhmeshError,
    OriginRefused,
    TooManyRequests,
)

PUBLIC = frozenset({"/", "/livez", "/readyz", "/errors", "/v1/docs", "/v1/openapi.json"})
_PUBLIC_BELOW = "/errors/"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CROWDED_RETRY_MS = 1_000
_HOST = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
)  # a name and a port, no path or user

_logger = logging.getLogger("ohmesh.api")


class Gate:
    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        self._hosts = _LOOPBACK | {name.lower() for name in (door.config.host, *door.config.allowed_hosts)}
        self._open_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(send)
        request = Request(scope)
        self._open_requests += 1
        try:
            await self._let_in(request, receive, reply)
        except OhmeshError as error:
            await self._refuse(request, receive, reply, error)
        except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must not be told to callers
            _log_defect(request, error)
            await self._refuse(request, receive, reply, defect(error))
        finally:
            self._open_requests -= 1

    async def _let_in(self, request: Request, receive: Receive, reply: _Reply) -> None:
        config = self._door.config
        if self._open_requests > config.concurrent_requests:
            raise Backpressure(
                f"{config.concurrent_requests} requests are being done here.",
                retry_after_ms=_CROWDED_RETRY_MS,
            )
        self._check_host(request)
        self._check_origin(request)
        if not is_public(request.scope["path"]):
            caller = self._door.keyring.caller(request.headers.get("authorization", ""))
            request.scope[CALLER] = caller.name
            now_s = self._door.now_s()
            try:
                reply.headers = self._door.rate_limit.take(caller, now_s)
            except TooManyRequests:
                reply.headers = self._door.rate_limit.headers(caller, now_s)
                raise
        await self._app(request.scope, _bounded(receive, request, config.body_bytes), reply.send)

    async def _refuse(self, request: Request, receive: Receive, reply: _Reply, error: OhmeshError) -> None:
        """What has begun to be answered can only be broken off."""
        if not reply.has_begun:
            base = "" if isinstance(error, HostRefused) else base_of(request)
            await problem_response(error, base=base)(request.scope, receive, reply.send)

    def _check_host(self, request: Request) -> None:
        given = request.headers.get("host", "")
        if not _HOST.fullmatch(given) or _host_name(f"//{given}") not in self._hosts:
            raise HostRefused(f"This door does not serve the host {given[:200]!r}.")

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in self._door.config.allowed_origins:
            return
        if origin != f"{request.scope['scheme']}://{request.headers['host']}":
            raise OriginRefused(f"A page of {origin[:200]!r} may not ask here.")


class _Reply:
    """Passes an answer on, with the headers that all answers carry, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self.headers: Mapping[str, str] = {}
        self.has_begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            for name, value in self.headers.items():
                headers[name] = value
        await self._send(message)


def is_public(path: str) -> bool:
    """What anybody may read who reaches the door: no word of tasks, workers or settings."""
    return path in PUBLIC or path.startswith(_PUBLIC_BELOW)


def _bounded(receive: Receive, request: Request, limit_bytes: int) -> Receive:
    """Refuses a body that is too large by its own word at once, by its bytes as soon as they are too many."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    read_bytes = 0

    async def receive_bounded() -> Message:
        nonlocal read_bytes
        message = await receive()
        read_bytes += len(message.get("body", b""))
        if read_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        return message

    return receive_bounded


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit_bytes:,} bytes, the limit of this door.")


def _host_name(address: str) -> str:
    """Of "//host:port"; "" of what is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _log_defect(request: Request, error: Exception) -> None:
    """One line that says where; with OHMESH_DEBUG=1 all of it. Neither query nor headers, which may hold secrets."""
    trace = traceback.extract_tb(error.__traceback__)
    place = f"{trace[-1].filename}:{trace[-1].lineno}" if trace else "nowhere"
    _logger.error(
        "%s %s failed at %s: %s: %s; this is a bug in ohmesh",
        request.method,
        request.url.path,
        place,
        type(error).__name__,
        error,
        exc_info=error if os.environ.get("OHMESH_DEBUG") == "1" else None,
    )
