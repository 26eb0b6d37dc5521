"""How often is asked, how long is waited, and what that costs.

First detection takes 1.58 periods on average, whatever the size (SWIM, section 3.1). A suspected member has
`suspicion * max(1, log10(n)) * period` to speak up where enough others confirm, `slowest` times that where nobody does.
Each member sends about one packet a period, `fanout` every gossip interval, and its view once every exchange.
Periods, timeouts and intervals of local, lan and wan are those of hashicorp/memberlist; relaxed is for meshes that may
take their time. Suspicion is ours: fewer periods, more confirmations, more patience where nobody confirms. News is told
6 times log10(n), not 4: in groups of ten 4 left somebody out in 4 of 100. docs/membership.md says what that brought.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ohmesh.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class SwimSettings:
    """period_ms: one member is asked in each. timeout_ms: after it others are asked to ask. indirect: how many of
    them. suspicion, slowest: see the module's head. confirmations: by others, until
    the shortest time is enough. patience: most that local health stretches times. retransmits: how
    often news is told, times log10 of the members. fanout: to how many each gossip goes. exchange_ms: between whole
    views, more in large groups. remember_ms: how long the dead are told along. grace_ms: who has just joined is not
    suspected for so long."""

    period_ms: int = 1000
    timeout_ms: int = 500
    indirect: int = 3
    suspicion: int = 3
    slowest: int = 8
    confirmations: int = 5
    patience: int = 8
    retransmits: int = 6
    gossip_ms: int = 200
    fanout: int = 3
    exchange_ms: int = 30_000
    remember_ms: int = 30_000
    grace_ms: int = 0
    packet_bytes: int = 1400
    meta_bytes: int = 512
    members: int = 8192

    def __post_init__(self) -> None:
        if not 0 < self.timeout_ms < self.period_ms:
            raise InvalidArgument(
                f"A timeout of {self.timeout_ms} ms does not fit a period of {self.period_ms} ms.",
                hint="Half a period leaves time to ask through others.",
            )

    def suspicion_ms(self, members: int) -> float:
        return self.suspicion * max(1.0, math.log10(max(1, members))) * self.period_ms

    def transmissions(self, members: int) -> int:
        return self.retransmits * math.ceil(math.log10(members + 1))

    def exchange_every_ms(self, members: int) -> int:
        """A view grows with the group, so beyond 32 members they are exchanged more rarely."""
        if members <= EXCHANGE_SCALE:
            return self.exchange_ms
        return self.exchange_ms * (math.ceil(math.log2(members) - math.log2(EXCHANGE_SCALE)) + 1)


EXCHANGE_SCALE = 32

LOCAL = SwimSettings(
    timeout_ms=200,
    suspicion=2,
    retransmits=2,
    gossip_ms=100,
    exchange_ms=15_000,
    remember_ms=15_000,
    indirect=1,
)
LAN = SwimSettings()
WAN = SwimSettings(
    period_ms=5000,
    timeout_ms=3000,
    suspicion=4,
    gossip_ms=500,
    fanout=4,
    exchange_ms=60_000,
    remember_ms=60_000,
)
RELAXED = SwimSettings(
    period_ms=3000,
    timeout_ms=1500,
    suspicion=2,
    slowest=4,
    gossip_ms=2000,
    fanout=4,
    remember_ms=60_000,
    grace_ms=10_000,
)
PROFILES = {"local": LOCAL, "lan": LAN, "wan": WAN, "relaxed": RELAXED}
