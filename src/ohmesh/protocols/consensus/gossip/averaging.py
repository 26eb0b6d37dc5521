"""Push-pull averaging of which no mass is lost, whatever messages are.

Once a cycle each member offers its values to another; that one takes half of the difference and answers what the first
is to take. The variance falls to 1 / (2 * sqrt(e)) = 0.303 of itself each cycle, whatever the size. An answer that gets
lost would change the sum, so it is acknowledged by being asked for: the same offer, sent again, gets the same answer.
What is on its way when a member dies is lost with the member.

    values    a column for each figure: a load's average is its mean; (1, 0, 0, ...) averages to 1/n; sums are means * n

A member that lies moves the mean as far as it likes: for what must not be moved by one, let `protocols.consensus.raft`
decide. Source: Jelasity, Montresor, Babaoglu 2005, section 4; acknowledged mass: Kempe, Dobra, Gehrke 2003, section 2.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ohmesh.errors import InvalidArgument

Values = NDArray[np.float64]


class Offer(Struct, array_like=True, frozen=True):
    """`number` rises with each offer of one life of its sender; the same one again is a repetition."""

    life: int
    number: int
    values: bytes


class Share(Struct, array_like=True, frozen=True):
    """What the offerer is to add to its values; the other has taken it from its own."""

    life: int
    number: int
    difference: bytes


@dataclass(slots=True)
class _Open:
    peer: str
    offer: Offer
    resend_ms: float


class Averaging:
    """values: shape (k,), the same k everywhere. resend_ms: an offer without an answer is sent again after that, and
    after `tries` times its peer counts as gone."""

    def __init__(
        self, values: Values, *, life: int, resend_ms: float = 500.0, tries: int = 20, remembered: int = 1024
    ) -> None:
        self.values = np.array(values, np.float64)
        self.lost = 0
        self._life = life
        self._resend_ms = resend_ms
        self._tries = tries
        self._remembered = remembered
        self._number = 0
        self._open: OrderedDict[int, _Open] = OrderedDict()
        self._tried: dict[int, int] = {}
        self._answered: OrderedDict[str, Share] = OrderedDict()  # the last of each peer

    @property
    def open(self) -> int:
        """Offers whose answers are not known yet; their mass is in two places at once, or in none."""
        return len(self._open)

    def is_busy_with(self, peer: str) -> bool:
        """One offer to a peer at a time, so that remembering its last answer is enough there."""
        return any(each.peer == peer for each in self._open.values())

    def offer(self, peer: str, now_ms: float) -> Offer:
        """Raises InvalidArgument: the one before is not answered."""
        if self.is_busy_with(peer):
            raise InvalidArgument(f"{peer} has not answered the offer before this one.")
        self._number += 1
        made = Offer(self._life, self._number, self.values.astype("<f8").tobytes())
        self._open[self._number] = _Open(peer, made, now_ms + self._resend_ms)
        self._tried[self._number] = 1
        return made

    def answer(self, peer: str, offer: Offer) -> Share:
        """Raises InvalidArgument: not as many values as here."""
        known = self._answered.get(peer)
        if known is not None and (known.life, known.number) == (offer.life, offer.number):
            return known
        theirs = np.frombuffer(offer.values, "<f8")
        if theirs.shape != self.values.shape:
            raise InvalidArgument(f"{peer} averages {len(theirs)} values, and here are {len(self.values)}.")
        if known is not None and (offer.life, offer.number) < (known.life, known.number):
            return Share(
                offer.life, offer.number, np.zeros(len(theirs)).tobytes()
            )  # of long ago: it changes nothing
        difference = (self.values - theirs) / 2
        self.values -= difference
        made = Share(offer.life, offer.number, difference.astype("<f8").tobytes())
        self._answered[peer] = made
        self._answered.move_to_end(peer)
        while len(self._answered) > self._remembered:
            self._answered.popitem(last=False)
        return made

    def take(self, share: Share) -> None:
        """A second copy of an answer changes nothing."""
        if share.life == self._life and self._open.pop(share.number, None) is not None:
            del self._tried[share.number]
            self.values += np.frombuffer(share.difference, "<f8")

    def due(self, now_ms: float) -> list[tuple[str, Offer]]:
        """Offers to be sent again now."""
        found = []
        for number, each in list(self._open.items()):
            if now_ms < each.resend_ms:
                continue
            if self._tried[number] >= self._tries:
                del self._open[number], self._tried[number]
                self.lost += 1
                continue
            self._tried[number] += 1
            each.resend_ms = now_ms + self._resend_ms
            found.append((each.peer, each.offer))
        return found
