"""Hosts that may be reached: by the text of the URL, by nothing cleverer."""

from __future__ import annotations

import pytest

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused
from ohmesh.handlers.allowed_hosts import AllowedHosts


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 80),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost", "localhost", 9),
        ("API.Example.org", "api.example.ORG", 443),
        ("api.example.org", "api.example.org.", 443),
        (".example.org", "api.example.org", 443),
        (".example.org", "a.b.example.org", 443),
        (".example.org:444", "a.b.example.org", 444),
        ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", 5),
        ("::1", "::1", 5),
    ],
)
def test_what_is_listed_may_be_reached(entry: str, host: str, port: int) -> None:
    hosts = AllowedHosts(["first.example", entry])
    hosts.check(host, port)
    with pytest.raises(ArgumentsRefused, match="allowed are: none"):
        AllowedHosts([]).check(host, port)


@pytest.mark.parametrize(
    ("entry", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 80),
        ("127.0.0.1", "2130706433", 80),
        ("127.0.0.1", "127.1", 80),
        ("127.0.0.1", "localhost", 80),
        ("example.org", "www.example.org", 80),
        (".example.org", "example.org", 80),
        (".example.org", "badexample.org", 80),
        ("example.org", "example.org.evil.net", 80),
        ("::1", "0:0:0:0:0:0:0:1", 80),
    ],
)
def test_what_is_not_listed_may_not_and_the_error_says_what_is(entry: str, host: str, port: int) -> None:
    with pytest.raises(ArgumentsRefused) as caught:
        AllowedHosts([entry]).check(host, port)
    assert f"{host}:{port} may not be reached" in str(caught.value).replace("[", "").replace("]", "")
    assert f"allowed are: {entry}" in str(caught.value)
    suggested = str(caught.value).rpartition("--allow-host ")[2].rstrip(".")
    AllowedHosts([suggested]).check(host, port)


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.example.org", "http://example.org", "example.org/path", "a b", "host:99999", "..", "é.org"],
)
def test_an_entry_that_is_no_host_is_refused(entry: str) -> None:
    with pytest.raises(AgentDefinitionError, match="not a host that can be allowed"):
        AllowedHosts([entry])
