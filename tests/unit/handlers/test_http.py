"""The kind `http`, against a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from ohmesh.errors import ArgumentsRefused, HandlerError, Permanent, RetryLater
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.handlers.http import HttpConfig, http_handler
from ohmesh.policies.retry_after import retry_after_ms

AT_ONCE = 5
LIMITS = HttpConfig(response_bytes=2_000, redirects=3, retry_after_max_ms=60_000)


class Site(BaseHTTPRequestHandler):
    """What a path answers. `meeting` lets nobody go before AT_ONCE requests are there."""

    meeting = threading.Barrier(AT_ONCE)
    released = threading.Event()

    def do_GET(self) -> None:
        name, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        getattr(self, f"answer_{name}")(rest)

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer_echo(self, _rest: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        said = {"method": self.command, "headers": dict(self.headers.items()), "body": body}
        self.reply(200, msgspec.json.encode(said), content_type="application/json; charset=utf-8")

    def answer_bytes(self, rest: str) -> None:
        self.reply(200, b"\xff" * int(rest), content_type="application/octet-stream")

    def answer_latin(self, _rest: str) -> None:
        self.reply(200, "grün".encode("latin-1"), content_type="text/plain; charset=latin-1")

    def answer_status(self, rest: str) -> None:
        status, _, after = rest.partition("/")
        self.reply(int(status), b"because  of\n this", **({"retry_after": after} if after else {}))

    def answer_redirect(self, rest: str) -> None:
        status, _, target = rest.partition("/")
        self.reply(int(status), b"elsewhere", location=target.replace("HOST", f"127.0.0.1:{self.port}"))

    def answer_cookie(self, _rest: str) -> None:
        self.reply(200, self.headers.get("cookie", "none").encode(), set_cookie="secret=1; Path=/")

    def answer_meet(self, _rest: str) -> None:
        self.meeting.wait(timeout=30)
        self.reply(200, b"met")

    def answer_hang(self, _rest: str) -> None:
        self.released.wait(timeout=30)

    def answer_drip(self, _rest: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"drop")
        self.released.wait(timeout=30)

    def answer_cut(self, _rest: str) -> None:
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()
        self.wfile.write(b"short")

    @property
    def port(self) -> int:
        return int(self.connection.getsockname()[1])

    def reply(self, status: int, body: bytes, *, content_type: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_type": content_type, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Tests are quiet."""


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    Site.released.clear()
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Site.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@cache
def handler_for(allow: tuple[str, ...]) -> FunctionHandler:
    """One for all tests, as one serves all tasks of a process; each test has an event loop of its own."""
    return http_handler(allow, LIMITS)


def call(url: str, *more: object, allow: tuple[str, ...] = ("127.0.0.1",), **named: Any) -> Any:
    return calls([url, *more], allow=allow, **named)[0]


def calls(*requests: list[Any], allow: tuple[str, ...] = ("127.0.0.1",), **named: object) -> list[Any]:
    """All at once, in one event loop; the first error is raised."""
    handler = handler_for(allow)
    payloads = [msgspec.msgpack.encode([positional, named]) for positional in requests]

    async def main() -> list[bytes]:
        return await asyncio.gather(*map(handler.invoke_async, payloads))

    return [msgspec.msgpack.decode(value) for value in asyncio.run(main())]


def test_a_request_is_made_as_it_was_asked_for_and_the_answer_is_whole(site: str) -> None:
    answer = call(f"{site}/echo?a=1", "POST", headers={"X-Key": "7"}, body="höre")
    assert (answer["status"], answer["url"]) == (200, f"{site}/echo?a=1")
    assert answer["headers"]["content-type"] == "application/json; charset=utf-8"
    heard = msgspec.json.decode(answer["body"])
    assert (heard["method"], heard["body"]) == ("POST", "höre")
    sent = {name.lower(): value for name, value in heard["headers"].items()}
    assert (sent["x-key"], sent["accept-encoding"], sent["user-agent"]) == ("7", "identity", "ohmesh")


def test_text_is_read_as_its_charset_says_and_the_rest_stays_bytes(site: str) -> None:
    assert call(f"{site}/latin")["body"] == "grün"
    assert call(f"{site}/bytes/5")["body"] == b"\xff" * 5
    assert call(f"{site}/echo", "HEAD")["body"] == ""


def test_many_requests_are_under_way_at_once(site: str) -> None:
    answers = calls(*([f"{site}/meet"] for _ in range(AT_ONCE)))
    assert [answer["body"] for answer in answers] == ["met"] * AT_ONCE


@pytest.mark.parametrize("status", [400, 401, 404, 408, 410, 422])
def test_a_refusal_is_final_and_tells_what_the_server_said(site: str, status: int) -> None:
    with pytest.raises(Permanent, match=f"/status/{status} answered {status} .*: because of this"):
        call(f"{site}/status/{status}")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again_when_it_says(site: str, status: int) -> None:
    with pytest.raises(RetryLater, match=f"answered {status}") as asked:
        call(f"{site}/status/{status}/7")
    assert asked.value.delay_ms == 7_000
    with pytest.raises(RetryLater) as bounded:
        call(f"{site}/status/{status}/999999999999")
    assert bounded.value.delay_ms == 60_000
    with pytest.raises(HandlerError, match=f"answered {status}") as silent:
        call(f"{site}/status/{status}")
    assert type(silent.value) is HandlerError  # neither final nor with a delay: the retry policy decides


@pytest.mark.parametrize(
    ("value", "delay_ms"),
    [
        ("0", 0),
        (" 120 ", 120_000),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37_000),
        ("Sun, 06 Nov 1994 08:48:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, delay_ms: int | None) -> None:
    assert retry_after_ms(value, 784_111_740.0) == delay_ms  # 08:49:00


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_redirection_is_followed_as_its_status_says(site: str, status: int, method: str) -> None:
    answer = call(f"{site}/redirect/{status}//echo", "POST", body="again")
    heard = msgspec.json.decode(answer["body"])
    assert (answer["url"], heard["method"]) == (f"{site}/echo", method)
    assert heard["body"] == ("again" if method == "POST" else "")


def test_redirections_are_bounded(site: str) -> None:
    inner = f"{site}/echo"
    for _ in range(3):
        inner = f"{site}/redirect/307/{inner}"
    assert call(inner)["status"] == 200
    with pytest.raises(Permanent, match="More than 3 redirections"):
        call(f"{site}/redirect/307/{inner}")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://localhost:HOST/", "Location that is no URL"),
        ("http://localhost/echo", "localhost:80 may not be reached"),
        ("http://2130706433/echo", "may not be reached"),
        ("file:///etc/passwd", "scheme 'file'"),
    ],
)
def test_every_hop_is_checked(site: str, target: str, reason: str) -> None:
    with pytest.raises(Permanent, match=reason):
        call(f"{site}/redirect/302/{target}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "scheme 'file'"),
        ("ftp://127.0.0.1/x", "scheme 'ftp'"),
        ("127.0.0.1/x", "http:// or https://"),
        ("http:///x", "http:// or https://"),
        ("", "http:// or https://"),
        ("http://127.0.0.1:port/", "cannot be made"),
        ("http://localhost/", "localhost:80 may not be reached"),
        ("https://example.org/", "example.org:443 may not"),
        ("http://127.0.0.1@example.org/", "holds a user's name"),
        ("http://example.org\\@127.0.0.1/", "cannot be made|may not be reached|holds a user's name"),
        ("http://[::1]/", "may not be reached"),
    ],
)
def test_what_may_not_be_reached_is_refused_for_good(url: str, reason: str) -> None:
    with pytest.raises(ArgumentsRefused, match=reason):
        call(url)


def test_nothing_is_allowed_until_somebody_says_so(site: str) -> None:
    with pytest.raises(ArgumentsRefused, match="allowed are: none"):
        call(f"{site}/echo", allow=())
    host = site.removeprefix("http://")
    assert call(f"{site}/echo", allow=(host,))["status"] == 200


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"headers": {"Host": "inner"}}, "'Host' is set by the worker"),
        ({"headers": {"transfer-encoding": "chunked"}}, "'transfer-encoding'"),
        ({"headers": {"Proxy-Authorization": "x"}}, "'Proxy-Authorization'"),
        ({"headers": {"X-Key": "a\r\nX-Other: b"}}, "cannot be sent"),
        ({"headers": {"X-Key": "ключ"}}, "cannot be made"),
        ({"headers": ["X-Key"]}, "'headers'"),
        ({"method": "BREW"}, "'method'"),
        ({"timeout": 0}, "'timeout'"),
        ({"timeout": 1e9}, "'timeout'"),
    ],
)
def test_a_request_that_cannot_be_made_is_refused_for_good(
    site: str, words: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ArgumentsRefused, match=reason):
        call(f"{site}/echo", **words)


def test_an_answer_that_is_too_large_is_final(site: str) -> None:
    assert len(call(f"{site}/bytes/2000")["body"]) == 2_000
    with pytest.raises(Permanent, match="more than 2,000 bytes"):
        call(f"{site}/bytes/2001")


@pytest.mark.parametrize("path", ["hang", "drip"])
def test_a_server_that_does_not_answer_in_time_is_asked_again(site: str, path: str) -> None:
    with pytest.raises(HandlerError, match=f"/{path} was not answered within 0.2 s") as caught:
        call(f"{site}/{path}?token=secret", timeout=0.2)
    assert not isinstance(caught.value, Permanent)
    assert "secret" not in str(caught.value)


def test_a_broken_or_missing_server_is_asked_again(site: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for url in (f"{site}/cut", nowhere, site.replace("http", "https")):
        with pytest.raises(HandlerError, match="was not answered") as caught:
            call(url)
        assert not isinstance(caught.value, Permanent)


def test_no_cookie_passes_from_one_task_to_another(site: str) -> None:
    handler = http_handler(("127.0.0.1",))
    payload = msgspec.msgpack.encode([[f"{site}/cookie"], {}])

    async def main() -> list[Any]:
        return [msgspec.msgpack.decode(await handler.invoke_async(payload))["body"] for _ in range(2)]

    assert asyncio.run(main()) == ["none", "none"]


def test_proxies_and_credentials_of_the_worker_are_not_used(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert call(f"{site}/echo")["status"] == 200
