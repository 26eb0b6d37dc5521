"""What goes wrong by chance while it is switched on: with messages, and with what is written.

Disasters (a process is killed, the engine stops, a link is cut) are done by the scenario: see control.py.
"""

from __future__ import annotations

from msgspec import Struct

from ohmesh.engines.memory.faults import BusFaults, CallFaults, EngineFaults, Range
from ohmesh.errors import InvalidArgument

_CHANCES = (
    "lost_messages",
    "duplicated_messages",
    "lost_writes",
    "lost_acknowledgements",
    "late_writes",
    "refused_writes",
)


class Faults(Struct, frozen=True, kw_only=True):
    """Chances are from 0 to 1 for each message or write; delays are ranges (low, high) in milliseconds.

    delivery_ms, lost_messages, duplicated_messages: of what travels between programs, dispatchers and workers.
    write_ms: how long the engine takes to write. lost_writes: never arrive. lost_acknowledgements: written, and nobody
    hears of it. late_writes: given up by the writer, and written after all where they still fit. refused_writes: the
    engine says no.
    """

    delivery_ms: Range = (0.0, 0.0)
    lost_messages: float = 0.0
    duplicated_messages: float = 0.0
    write_ms: Range = (0.0, 0.0)
    lost_writes: float = 0.0
    lost_acknowledgements: float = 0.0
    late_writes: float = 0.0
    refused_writes: float = 0.0

    def __post_init__(self) -> None:
        for name in _CHANCES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidArgument(
                    f"Faults.{name} is {getattr(self, name)!r}.", hint="Give a chance from 0 to 1."
                )
        for name in ("delivery_ms", "write_ms"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high:
                raise InvalidArgument(
                    f"Faults.{name} is {(low, high)!r}.", hint="Give (low, high) milliseconds."
                )


CALM = Faults()


def engine_faults(faults: Faults) -> EngineFaults:
    """As the memory engine knows them."""
    writes = CallFaults(
        delay_ms=faults.write_ms,
        request_lost=faults.lost_writes,
        ack_lost=faults.lost_acknowledgements,
        late=faults.late_writes,
        refused=faults.refused_writes,
    )
    return EngineFaults(
        bus=BusFaults(
            delay_ms=faults.delivery_ms, loss=faults.lost_messages, duplication=faults.duplicated_messages
        ),
        append=writes,
        state=writes,
        blobs=writes,
        watch_delay_ms=faults.delivery_ms,
    )
