"""Who counts. While members change, two sets of voters count at once, and a decision needs a majority of each.

Source: Ongaro and Ousterhout 2014, section 6 (joint consensus); learners: thesis 4.2.1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

import msgspec
from msgspec import Struct

from ohmesh.errors import InvalidArgument

UNBOUNDED = 1 << 62  # a set without voters holds nothing back


class Verdict(Enum):
    WON = "won"
    LOST = "lost"
    OPEN = "open"


class Configuration(Struct, array_like=True, frozen=True):
    """`outgoing`: the voters of before, while they still count. Learners get the log and never count."""

    voters: tuple[str, ...] = ()
    outgoing: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    @property
    def is_joint(self) -> bool:
        return bool(self.outgoing)

    @property
    def everybody(self) -> tuple[str, ...]:
        return tuple(sorted({*self.voters, *self.outgoing, *self.learners}))

    def has_voter(self, member: str) -> bool:
        return member in self.voters or member in self.outgoing

    def verdict(self, votes: Mapping[str, bool]) -> Verdict:
        """votes: who has answered so far, and how. A joint election is won twice or not at all."""
        both = [_verdict(voters, votes) for voters in (self.voters, self.outgoing) if voters]
        if Verdict.LOST in both or not both:
            return Verdict.LOST
        return Verdict.OPEN if Verdict.OPEN in both else Verdict.WON

    def is_quorum(self, members: Collection[str]) -> bool:
        return self.verdict(dict.fromkeys(members, True)) is Verdict.WON

    def agreed_index(self, match: Mapping[str, int]) -> int:
        """The highest index that a majority of each set has; `match` lacks those who are known to have nothing."""
        return min(_agreed(self.voters, match), _agreed(self.outgoing, match))

    def towards(self, voters: Collection[str], learners: Collection[str]) -> Configuration:
        """The joint configuration that leads there."""
        if not voters:
            raise InvalidArgument(
                "A group without voters can decide nothing.", hint="Name at least one voter."
            )
        both = sorted({*voters} & {*learners})
        if both:
            raise InvalidArgument(
                f"{', '.join(both)} cannot be voter and learner at once.", hint="Name each member once."
            )
        return Configuration(tuple(sorted({*voters})), self.voters, tuple(sorted({*learners})))

    def settled(self) -> Configuration:
        return Configuration(self.voters, (), self.learners)


def _verdict(voters: Collection[str], votes: Mapping[str, bool]) -> Verdict:
    needed = len(voters) // 2 + 1
    granted = sum(votes.get(voter, False) for voter in voters)
    refused = sum(not votes.get(voter, True) for voter in voters)
    if granted >= needed:
        return Verdict.WON
    return Verdict.LOST if refused > len(voters) - needed else Verdict.OPEN


def _agreed(voters: Collection[str], match: Mapping[str, int]) -> int:
    if not voters:
        return UNBOUNDED
    return sorted(match.get(voter, 0) for voter in voters)[(len(voters) - 1) // 2]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Configuration)


def encode_configuration(configuration: Configuration) -> bytes:
    return _encoder.encode(configuration)


def decode_configuration(data: bytes) -> Configuration:
    return _decoder.decode(data)
