"""What travels between members. A packet is one message and, behind it, news that fits into what is left of it.

Incarnations are their owner's: only it raises its own, to refute what others say of it.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

NEWS_OVERHEAD_BYTES = 16


class Standing(IntEnum):
    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Ping(Struct, array_like=True, frozen=True, tag="ping"):
    """`target` is who is meant: another may live at that address by now. `reply_to` is an address."""

    number: int
    target: str
    reply_to: str


class PingFor(Struct, array_like=True, frozen=True, tag="ping for"):
    """Ask `target` for me; say so, too, when you hear nothing (Lifeguard, section 4)."""

    number: int
    target: str
    address: str
    reply_to: str


class Ack(Struct, array_like=True, frozen=True, tag="ack"):
    number: int
    source: str


class Nack(Struct, array_like=True, frozen=True, tag="nack"):
    """I am here, and heard nothing from whom you asked about."""

    number: int
    source: str


class Alive(Struct, array_like=True, frozen=True, tag="alive"):
    member: str
    incarnation: int
    address: str
    meta: bytes = b""


class Suspect(Struct, array_like=True, frozen=True, tag="suspect"):
    member: str
    incarnation: int
    accuser: str


class Dead(Struct, array_like=True, frozen=True, tag="dead"):
    """Who says so of itself leaves."""

    member: str
    incarnation: int
    accuser: str


class Known(Struct, array_like=True, frozen=True):
    """One row of a whole view."""

    member: str
    incarnation: int
    address: str
    meta: bytes
    standing: Standing


class View(Struct, array_like=True, frozen=True, tag="view"):
    """All that one member knows, so that two views become one. `is_question` wants the other's view back."""

    source: str
    rows: tuple[Known, ...]
    is_question: bool


News = Alive | Suspect | Dead
Message = Ping | PingFor | Ack | Nack | View


class Packet(Struct, array_like=True, frozen=True):
    """`message` None: news alone."""

    to: str  # an address
    message: Message | None
    news: tuple[News, ...] = ()


def news_bytes(news: News) -> int:
    """About what it takes on the wire."""
    if isinstance(news, Alive):
        return NEWS_OVERHEAD_BYTES + len(news.member) + len(news.address) + len(news.meta)
    return NEWS_OVERHEAD_BYTES + len(news.member) + len(news.accuser)


class Change(Struct, frozen=True):
    """What the owner of a member is told: `standing` of `member` is this from now on. It does not travel."""

    member: str
    standing: Standing
    address: str
    meta: bytes
    incarnation: int
