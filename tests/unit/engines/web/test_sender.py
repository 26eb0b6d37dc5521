"""Where a URL leads, and what is refused on the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from ohmesh.engines.web.addresses import is_public
from ohmesh.engines.web.sender import WebSender
from ohmesh.ports.web import WebAnswer, WebRequest
from tests.receiver import receiver


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_of_this_machine_and_of_private_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def posted(url: str, *, allow_private: bool = True, timeout_s: float = 10.0) -> WebAnswer:
    async def post() -> WebAnswer:
        sender = WebSender()
        try:
            return await sender.post(WebRequest(url, {"x": "y"}, b"body", timeout_s, allow_private))
        finally:
            await sender.close()

    return asyncio.run(post())


def test_a_request_arrives_under_the_name_that_was_given() -> None:
    with receiver() as told:
        url = told.url.replace("127.0.0.1", "localhost")
        assert posted(url).status == 204
        (received,) = told.received
        assert received.body == b"body"
        assert received.headers["host"] == url.split("/")[2]


def test_a_redirection_is_an_answer_and_is_not_followed() -> None:
    with receiver() as told:
        told.answer = lambda _received: (307, {"location": told.url, "retry-after": "7"})
        answer = posted(told.url)
        assert (answer.status, answer.retry_after, len(told.received)) == (307, "7", 1)


def test_a_private_address_is_refused_when_it_is_about_to_be_reached() -> None:
    with receiver() as told:
        for url in (
            told.url,
            told.url.replace("127.0.0.1", "localhost"),
            told.url.replace("127.0.0.1", "2130706433"),
        ):
            answer = posted(url, allow_private=False)
            assert answer.status == 0
            assert "private" in answer.failure
        assert told.received == []


def silent(server: socket.socket) -> str:
    server.listen()
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


def absent(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("make", "words"),
    [(silent, "no answer within 0.2 s"), (absent, "was not reached")],
    ids=["silent", "absent"],
)
def test_whoever_does_not_answer_is_told_of_and_nothing_is_raised(
    make: Callable[[socket.socket], str], words: str
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        answer = posted(make(server), timeout_s=0.2 if make is silent else 10.0)
    assert answer.status == 0
    assert words in answer.failure
