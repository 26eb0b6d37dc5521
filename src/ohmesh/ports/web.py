"""The web, as roles may reach it: one request to an address that somebody gave us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A POST. allow_private: it may go to this machine or a private network. timeout_s: for all of it."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """`status` 0: there was none, and `failure` says why."""

    status: int
    failure: str = ""
    retry_after: str = ""


class Web(Protocol):
    async def check(self, url: str, *, allow_private: bool) -> None:
        """Raises InvalidArgument where `post` would refuse to go there."""
        ...

    async def post(self, request: WebRequest) -> WebAnswer:
        """Never raises for what is wrong with the other side. Redirections are not followed."""
        ...
