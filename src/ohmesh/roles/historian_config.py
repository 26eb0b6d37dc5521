"""What a historian is given, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from ohmesh.errors import InvalidArgument
from ohmesh.ports.bus import Bus
from ohmesh.ports.clock import Clock
from ohmesh.ports.log import Log


@dataclass(frozen=True, slots=True)
class HistorianPorts:
    bus: Bus
    log: Log
    clock: Clock


@dataclass(frozen=True, slots=True)
class HistorianConfig:
    """concurrent: questions that are put to the ledger at once, fewer than it has readers, so that the projector
        always finds one free. questions: those that may wait besides; others are told to come again.
    patience_ms: after that long a question is answered with why it has no answer; less than clients wait for one try.
    retry_after_ms: when somebody who was sent away may come again.
    event_bytes: events of one answer; one message has its size.
    """

    concurrent: int = 2
    questions: int = 64
    patience_ms: int = 4_000
    retry_after_ms: int = 500
    event_bytes: int = 600_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"{name} = {getattr(self, name)} is not a bound.", hint="Give at least 1."
                )
