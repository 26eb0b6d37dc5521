"""Which hosts a worker may speak to: names as they stand in a URL, compared as text and never resolved.

    127.0.0.1         this address, at any port
    127.0.0.1:8080    at this port only
    [::1]:8080        the same for IPv6
    api.example.org   this name
    .example.org      every name below it

A name that is allowed is trusted with what it resolves to. Another spelling of an address is another host (2130706433
is not 127.0.0.1), so nothing is allowed by way of an encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused

_ENTRY = re.compile(
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*))(?::(?P<port>\d{1,5}))?"
)
_BARE_SIX = re.compile(r"[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*")


class AllowedHosts:
    """Raises AgentDefinitionError for an entry that is none."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = tuple(entries)
        self._allowed = {_parsed(entry) for entry in self._entries}

    def check(self, host: str, port: int) -> None:
        """`host` in ASCII, as it stands in the URL; ArgumentsRefused when it is not allowed."""
        host = host.lower().rstrip(".")
        parents = [host[at:] for at in range(len(host)) if host[at] == "."]
        if any({(name, 0), (name, port)} & self._allowed for name in (host, *parents)):
            return
        listed = ", ".join(self._entries) or "none"
        wanted = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise ArgumentsRefused(
            f"{wanted} may not be reached from here; allowed are: {listed}.",
            hint=f"Whoever runs the worker allows it: ohmesh worker http --allow-host {wanted}.",
        )


def _parsed(entry: str) -> tuple[str, int]:
    """Host and port; 0 is any port."""
    lowered = entry.strip().lower()
    if _BARE_SIX.fullmatch(lowered):
        return lowered, 0
    found = _ENTRY.fullmatch(lowered)
    port = int(found["port"] or 0) if found else 0
    if found is None or port > 65_535:
        raise AgentDefinitionError(
            f"{entry!r} is not a host that can be allowed.",
            hint="Write a name or an address, without scheme and path: api.example.org, .example.org, 127.0.0.1:8080.",
        )
    return found["six"] or found["name"], port
