"""Where a URL that somebody gave us leads, and whether we go there.

A name is resolved here and the connection is made to the address that was looked at, so a name that answers otherwise
the next time leads nowhere else. All addresses of a name have to be public, those inside of others (IPv4 in IPv6) too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from ohmesh.errors import InvalidArgument

_PORTS = {"http": 80, "https": 443}
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_URL_MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Target:
    """`host` as it stands in the URL, without brackets."""

    scheme: str
    host: str
    port: int


def target_of(url: str) -> Target:
    """Raises InvalidArgument, which does not repeat what may be secret in the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"address: it cannot be read: {error}.") from None
    if parts.scheme not in _PORTS or not parts.hostname or len(url) > _URL_MAX_CHARS or not url.isprintable():
        raise InvalidArgument(
            f"address: its scheme is {parts.scheme!r} and its host {parts.hostname!r}.",
            hint="Begin it with http:// or https:// and a host, and keep it printable and below 2,000 characters.",
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidArgument(
            "address: it holds a user's name or password, which would be shown in lists.",
            hint="Leave it out; the receiver knows us by the signature.",
        )
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


async def resolve(target: Target, *, allow_private: bool) -> str:
    """An address to connect to. Raises InvalidArgument where one of its addresses is not public, OSError where it has
    none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    hidden = [] if allow_private else [each for each in addresses if not is_public(each)]
    if hidden:
        raise InvalidArgument(
            f"address: {target.host} is at {hidden[0]}, which is this machine or a private network.",
            hint="Where that is meant, add the webhook with --allow-private.",
        )
    return addresses[0]


def is_public(text: str) -> bool:
    if "%" in text:  # of one interface of this machine
        return False
    address = ipaddress.ip_address(text)
    inner = _inner(address) if isinstance(address, IPv6Address) else None
    if inner is not None and not is_public(str(inner)):
        return False
    return (address.is_global or inner is not None) and not address.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this one leads to."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
