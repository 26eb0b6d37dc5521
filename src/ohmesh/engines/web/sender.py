"""One POST after the other to addresses that were looked at first; see addresses."""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx2

from ohmesh.engines.web.addresses import Target, resolve, target_of
from ohmesh.errors import InvalidArgument
from ohmesh.ports.web import WebAnswer, WebRequest

CLIENTS_MAX = 64
ANSWER_BYTES = 64 * 1024  # read, so that the connection can be used again; what it says is not our business


class WebSender:
    """Implements ports.web.Web."""

    def __init__(self) -> None:
        self._certificates: ssl.SSLContext | None = None
        # One for each host and address: a connection whose certificate was checked for a name serves that name only.
        self._clients: OrderedDict[tuple[Target, str], httpx2.AsyncClient] = OrderedDict()

    async def check(self, url: str, *, allow_private: bool) -> None:
        try:
            await resolve(target_of(url), allow_private=allow_private)
        except OSError:
            return  # a name that is not known yet may be so when it is needed, and is looked at then

    async def post(self, request: WebRequest) -> WebAnswer:
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._post(request)
        except TimeoutError:
            return WebAnswer(0, f"it gave no answer within {request.timeout_s:g} s")
        except InvalidArgument as error:
            return WebAnswer(0, error.message)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return WebAnswer(0, f"it was not reached: {str(error) or type(error).__name__}")

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _post(self, request: WebRequest) -> WebAnswer:
        target = target_of(request.url)
        address = await resolve(target, allow_private=request.allow_private)
        url = httpx2.URL(request.url).copy_with(host=address)
        sent = httpx2.Request(
            "POST",
            url,
            headers={"user-agent": "ohmesh", **request.headers, "host": _authority(request.url)},
            content=request.body,
            extensions={"sni_hostname": target.host},
        )
        response = await (await self._client(target, address)).send(sent, stream=True, follow_redirects=False)
        try:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER_BYTES:
                    break
        finally:
            await response.aclose()
        return WebAnswer(response.status_code, retry_after=response.headers.get("retry-after", ""))

    async def _client(self, target: Target, address: str) -> httpx2.AsyncClient:
        client = self._clients.pop((target, address), None)
        if client is None:
            if self._certificates is None:  # files are read for it
                self._certificates = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=False)
            client = httpx2.AsyncClient(
                verify=self._certificates,
                trust_env=False,
                timeout=None,  # the whole call has one
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        self._clients[target, address] = client
        while len(self._clients) > CLIENTS_MAX:
            _, oldest = self._clients.popitem(last=False)
            await oldest.aclose()
        return client


def _authority(url: str) -> str:
    return urlsplit(url).netloc
