"""A hybrid time stamp: milliseconds since 1970 in 48 bits, then a counter in 16, in one integer of 64 bits.

The uppermost bit stays 0 until the year 6429, so signed integers hold it too.

Stamps compare as integers, and what a message caused has a higher stamp than the message. The clock that gives them is
`ohmesh.protocols.clock.hybrid_clock`. Source: Kulkarni and others, Logical Physical Clocks (2014), section 6.
"""

from __future__ import annotations

from ohmesh.errors import InvalidArgument

COUNTER_BITS = 16
MAX_COUNTER = (1 << COUNTER_BITS) - 1
MAX_PHYSICAL_MS = (1 << 47) - 1


def pack_stamp(physical_ms: int, counter: int) -> int:
    """Raises InvalidArgument where one of them does not fit."""
    if not (0 <= physical_ms <= MAX_PHYSICAL_MS and 0 <= counter <= MAX_COUNTER):
        raise InvalidArgument(f"A stamp of {physical_ms} ms and counter {counter} does not fit into a stamp.")
    return physical_ms << COUNTER_BITS | counter


def unpack_stamp(stamp: int) -> tuple[int, int]:
    """Milliseconds since 1970, and the counter. Raises InvalidArgument: below 0, or of more than 63 bits."""
    if not 0 <= stamp < 1 << 63:
        raise InvalidArgument(f"{stamp} is not a stamp: it has to be an integer from 0 to 2^63 - 1.")
    return stamp >> COUNTER_BITS, stamp & MAX_COUNTER


def physical_ms(stamp: int) -> int:
    """The milliseconds alone, without a check: for comparing with mesh time."""
    return stamp >> COUNTER_BITS
