"""The kind `http`: one request to a URL, many at a time in one process; by httpx2 (the extra `http`).

    below 400           the answer is the task's value
    429, 500 and above  tried again: when Retry-After says, else as the mesh's retry policy says
    other 400s          failed for good
    no answer           tried again

Whoever may submit a task chooses the URL, so a worker says which hosts may be reached (allowed_hosts); every hop of a
redirection is checked like the first one. Neither proxies, credentials nor cookies come from the worker's side, and no
cookie passes from one task to another. A task runs at least once: a request that changes something should carry a key
by which its server knows it again.

Source: RFC 9110, sections 9 (methods), 10.2.3 (Retry-After) and 15 (status codes).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated, Literal

import httpx2
import msgspec
from msgspec import Meta

from ohmesh.errors import ArgumentsRefused, HandlerError, Permanent, RetryLater
from ohmesh.handlers.allowed_hosts import AllowedHosts
from ohmesh.handlers.declaration import Declaration
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.policies.retry_after import retry_after_ms

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]

# The connection's business, or (Host) a way around the list of what may be reached.
_RESERVED = {
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
}
_PORTS = {"http": 80, "https": 443}
_TEXT = ("text/", "application/json", "application/xml", "application/javascript")
_EXCERPT_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """response_bytes: a larger answer fails for good; a task's value has a limit too.
    retry_after_max_ms: what a server may ask us to wait."""

    response_bytes: int = 400_000
    redirects: int = 5
    connections: int = 64
    retry_after_max_ms: int = 3_600_000


class Answer(msgspec.Struct, frozen=True):
    """`url` is where it came from in the end; `body` is text where the server says that it is, else bytes."""

    status: int
    url: str
    headers: dict[str, str]
    body: str | bytes


def http_handler(allowed: tuple[str, ...], config: HttpConfig | None = None) -> FunctionHandler:
    """The handler of kind `http` that may speak to these hosts."""
    caller = _Caller(AllowedHosts(allowed), config or HttpConfig())

    async def http(
        url: str,
        method: Method = "GET",
        *,
        headers: dict[str, str] = {},  # noqa: B006 - never changed
        body: str | bytes = b"",
        timeout: Seconds = 30.0,
    ) -> Answer:
        try:
            request = httpx2.Request(method, url, headers=_checked(headers), content=body or None)
        except (httpx2.InvalidURL, UnicodeError, ValueError, TypeError) as error:
            raise ArgumentsRefused(f"The request cannot be made: {error}.") from None
        return await caller.call(request, timeout)

    return FunctionHandler(http, Declaration("http", capabilities=("http",)))


def _checked(headers: dict[str, str]) -> dict[str, str]:
    for name in headers:
        if name.lower() in _RESERVED or name.lower().startswith("proxy-"):
            raise ArgumentsRefused(f"The header {name!r} is set by the worker.", hint="Leave it out.")
    return {"accept-encoding": "identity", "user-agent": "ohmesh", **headers}


class _Caller:
    """One client, with its pool of connections, for the event loop that uses it."""

    def __init__(self, allowed: AllowedHosts, config: HttpConfig) -> None:
        self._allowed = allowed
        self._config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: httpx2.AsyncClient | None = None
        self._certificates: ssl.SSLContext | None = None

    async def call(self, request: httpx2.Request, timeout_s: float) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(request)
        except TimeoutError:
            raise HandlerError(f"{_shown(request)} was not answered within {timeout_s:g} s.") from None
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise ArgumentsRefused(f"{_shown(request)} cannot be sent: {error}.") from None
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise HandlerError(f"{_shown(request)} was not answered: {reason}.") from None

    async def _follow(self, request: httpx2.Request) -> Answer:
        for _ in range(self._config.redirects + 1):
            self._check(request.url)
            response = await self._open().send(request, stream=True)
            try:
                answer = await self._answer(response)
            finally:
                await response.aclose()
            if not response.has_redirect_location:
                return answer
            if response.next_request is None:
                raise Permanent(f"{_shown(request)} answered {answer.status} with a Location that is no URL.")
            request = response.next_request
        raise Permanent(
            f"More than {self._config.redirects} redirections, the last one to {_shown(request)}.",
            hint="Give the URL that they lead to.",
        )

    def _check(self, url: httpx2.URL) -> None:
        if url.scheme not in _PORTS or not url.raw_host:
            raise ArgumentsRefused(
                f"The URL has the scheme {url.scheme!r} and the host {url.host!r}.",
                hint="Begin it with http:// or https:// and a host.",
            )
        if url.userinfo:
            raise ArgumentsRefused(
                f"The URL of {url.host} holds a user's name or password, which would stay in the history.",
                hint="Send the header Authorization.",
            )
        self._allowed.check(url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])

    def _open(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # Certificates take milliseconds to load, and do not depend on the loop.
            self._certificates = self._certificates or httpx2.create_ssl_context(trust_env=False)
            self._loop = loop
            self._client = httpx2.AsyncClient(
                verify=self._certificates,
                trust_env=False,
                timeout=None,  # the whole call has one
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                limits=httpx2.Limits(max_connections=self._config.connections),
            )
        return self._client

    async def _answer(self, response: httpx2.Response) -> Answer:
        """Read and judge it. Raises RetryLater, HandlerError or Permanent unless its status is below 400."""
        data = bytearray()
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > self._config.response_bytes:
                raise Permanent(
                    f"{_shown(response.request)} answered more than {self._config.response_bytes:,} bytes.",
                    hint="Ask for less, for example by a header Range.",
                )
        answer = Answer(
            response.status_code, str(response.url), dict(response.headers), _body(response, bytes(data))
        )
        if answer.status >= 400:
            self._refuse(response, answer)
        return answer

    def _refuse(self, response: httpx2.Response, answer: Answer) -> None:
        said = answer.body if isinstance(answer.body, str) else ""
        excerpt = f": {' '.join(said.split())[:_EXCERPT_CHARS]}" if said else ""
        message = f"{_shown(response.request)} answered {answer.status} {response.reason_phrase}{excerpt}."
        if answer.status < 500 and answer.status != 429:
            raise Permanent(message)
        delay_ms = retry_after_ms(answer.headers.get("retry-after", ""), time.time())
        if delay_ms is None:
            raise HandlerError(message)
        raise RetryLater(message, delay_ms=min(delay_ms, self._config.retry_after_max_ms))


def _body(response: httpx2.Response, data: bytes) -> str | bytes:
    kind = response.headers.get("content-type", "").lower()
    is_text = kind.startswith(_TEXT) or "+json" in kind or "+xml" in kind
    if not is_text or response.headers.get("content-encoding", "identity") != "identity":
        return data
    try:
        return data.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return data


def _shown(request: httpx2.Request) -> str:
    """Without its query, where secrets are kept too often."""
    url = request.url
    return f"{request.method} {url.scheme}://{url.netloc.decode('ascii')}{url.path}"
