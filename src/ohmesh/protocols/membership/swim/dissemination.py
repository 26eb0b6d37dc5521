"""What is told along: the newest word about each member, so many times, what was told least first.

Source: SWIM, section 4.1. News is told lambda*log(n) times, which leaves nobody out with high probability.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.protocols.membership.swim.messages import News, news_bytes


@dataclass(slots=True)
class _Word:
    news: News
    number: int
    size: int
    told: int = 0


class Rumours:
    """At most one word a member: a later one takes the place of an earlier."""

    def __init__(self) -> None:
        self._words: dict[str, _Word] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._words)

    def add(self, news: News) -> None:
        self._number += 1
        self._words[news.member] = _Word(news, self._number, news_bytes(news))

    def drop(self, member: str) -> None:
        self._words.pop(member, None)

    def take(self, room_bytes: int, limit: int) -> tuple[News, ...]:
        """What fits, each counted as told once more; what was told `limit` times is over."""
        if not self._words:
            return ()
        found: list[News] = []
        for word in sorted(self._words.values(), key=lambda each: (each.told, -each.number)):
            if word.size > room_bytes:
                continue
            room_bytes -= word.size
            found.append(word.news)
            word.told += 1
            if word.told >= limit:
                del self._words[word.news.member]
        return tuple(found)
