"""What is wrong with simulated agents, stated by part, so that every type of conflict comes about and can be settled.

    fault           what such an agent does once it is given work           is well again when
    contradicting   holds another price than its neighbour, from a relay    it is told the one of the sensor
    drifting        stamps what it did by a clock that is 5 s behind        it has measured its clock anew
    incapable       says that it cannot do what its class declares, once    (the mesh takes the capability from it)
    diverging       puts a note into its own context                        its context is merged with that of the fleet
    corrupt         loses its context and has another one                   it has loaded the one that was good

The first three report the conflict; the other two are found by `set-context` and `verify-context`. An agent without a
fault answers what a method of settling asks as well. Facts are signed by their origin where there is one to sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.model.conflict_evidence import (
    FACT_PURPOSE,
    ConflictOrder,
    Evidence,
    Fact,
    StampedEvent,
    encode,
    fact_payload,
)
from ohmesh.model.fleet_message import Coordinate, ReportedConflict
from ohmesh.model.hybrid_time import pack_stamp, physical_ms
from ohmesh.ports.population import Rows
from ohmesh.trust.identity import Identity
from ohmesh.trust.statement import sign_statement

PRICE = "price"
SENSOR_PRICE, RELAY_PRICE = "42", "41"
SENSOR_STRENGTH, RELAY_STRENGTH = 90, 30
BEHIND_MS = 5_000

Index = NDArray[np.intp]
WriteContext = Callable[[Rows, Mapping[str, bytes], bool], None]


class Fault(IntEnum):
    NONE = 0
    CONTRADICTING = 1
    DRIFTING = 2
    INCAPABLE = 3
    DIVERGING = 4
    CORRUPT = 5


@dataclass(frozen=True, slots=True)
class Origins:
    """Whom the facts of a process come from. mesh: its name, which stands in what they sign."""

    mesh: str
    sensor: Identity
    relay: Identity


@dataclass(frozen=True, slots=True)
class Declared:
    """Of all agents of a process: the name of a row, what the class of each place declares that it can do, and who
    signs; None leaves facts hearsay."""

    name_of: Callable[[int], str]
    capability_of: Callable[[int], str]
    origins: Origins | None = None


class SimulatedFaults:
    """`fault`: one code for each agent, 0 for none; it changes as they are put right. `declared` may be
    another while nothing was said yet."""

    def __init__(self, rows: Rows, fault: NDArray[np.uint8], declared: Declared) -> None:
        self.fault = fault
        self.write_context: WriteContext = lambda _rows, _entries, _is_change: None
        self._rows = rows
        self.declared = declared
        self._signed: dict[str, Fact] = {}
        self._events: dict[int, tuple[StampedEvent, ...]] = {}

    def report(self, order: Coordinate, at: Index) -> dict[int, ReportedConflict]:
        """They are given work: the place in `at` of those that object, and why."""
        fault = self.fault[at]
        for code, is_change in ((Fault.DIVERGING, True), (Fault.CORRUPT, False)):
            those = at[fault == code]
            if len(those):
                self.fault[those] = Fault.NONE
                entries = {"note": b"mine"} if is_change else {"damaged": b"\xff\x00"}
                self.write_context(self._rows[those], entries, is_change)
        objecting = np.flatnonzero((fault > 0) & (fault <= Fault.INCAPABLE)).tolist()
        return {place: self._objection(int(at[place]), order) for place in objecting}

    def obey(self, order: ConflictOrder, at: Index) -> tuple[bytes, ...]:
        """The answer of each."""
        return tuple(encode(self._evidence(order, place)) for place in at.tolist())

    def _evidence(self, order: ConflictOrder, place: int) -> Evidence:
        fault = self.fault[place]
        match order.ask:
            case "facts":
                return Evidence(facts=(self._fact(place),))
            case "update":
                has_it = order.value in (SENSOR_PRICE, RELAY_PRICE) and order.key == PRICE
                if has_it and fault in (Fault.NONE, Fault.CONTRADICTING):
                    self.fault[place] = Fault.NONE if order.value == SENSOR_PRICE else Fault.CONTRADICTING
                return Evidence(done=has_it)
            case "events":
                offset_ms = -float(BEHIND_MS) if fault == Fault.DRIFTING else 0.0
                return Evidence(events=self._events.get(place, ()), offset_ms=offset_ms)
            case "resync":
                if fault == Fault.DRIFTING:
                    self.fault[place] = Fault.NONE
                return Evidence(offset_ms=0.0, done=True)
        return Evidence()

    def _objection(self, place: int, order: Coordinate) -> ReportedConflict:
        match self.fault[place]:
            case Fault.CONTRADICTING:
                neighbour = place + 1 if place + 1 < len(self._rows) else place - 1
                theirs = self._signed_fact(SENSOR_PRICE, order.head.created)
                theirs = msgspec.structs.replace(theirs, holder=self._name(neighbour))
                mine = self._signed_fact(RELAY_PRICE, order.head.created)
                mine = msgspec.structs.replace(mine, holder=self._name(place))
                evidence = Evidence(facts=(mine, theirs))
                return ReportedConflict("data_contradiction", RELAY_PRICE, SENSOR_PRICE, encode(evidence))
            case Fault.DRIFTING:
                return self._paradox(place, order)
        self.fault[place] = Fault.NONE
        return ReportedConflict("capability_mismatch", self.declared.capability_of(place), "cannot")

    def _paradox(self, place: int, order: Coordinate) -> ReportedConflict:
        """The message is the cause, and what was done with it the effect."""
        stamp = order.head.created
        behind = pack_stamp(max(0, physical_ms(stamp) - BEHIND_MS), 0)
        sent = StampedEvent(f"sent-{order.head.id}", order.head.source, stamp)
        done = StampedEvent(f"done-{place}-{order.head.id}", self._name(place), behind, (sent.id,))
        self._events[place] = (sent, done)
        evidence = Evidence(events=(sent, done), offset_ms=-float(BEHIND_MS))
        return ReportedConflict("temporal_paradox", sent.id, done.id, encode(evidence))

    def _fact(self, place: int) -> Fact:
        value = RELAY_PRICE if self.fault[place] == Fault.CONTRADICTING else SENSOR_PRICE
        return msgspec.structs.replace(self._signed_fact(value, 0), holder=self._name(place))

    def _signed_fact(self, value: str, stamp: int) -> Fact:
        """Said once, when it was first asked for; holders pass it on as it is."""
        known = self._signed.get(value)
        if known is not None:
            return known
        origins, is_sensor = self.declared.origins, value == SENSOR_PRICE
        if origins is None:
            return Fact(PRICE, value, "")
        origin = origins.sensor if is_sensor else origins.relay
        strength = SENSOR_STRENGTH if is_sensor else RELAY_STRENGTH
        fact = Fact(PRICE, value, "", origin.name, strength, stamp)
        said = sign_statement(origin, origins.mesh, FACT_PURPOSE, fact_payload(fact), stamp=stamp)
        self._signed[value] = fact = msgspec.structs.replace(fact, signature=said)
        return fact

    def _name(self, place: int) -> str:
        return self.declared.name_of(int(self._rows[place]))


def faults_by_part(parts: Mapping[Fault, float], order: NDArray[np.intp]) -> NDArray[np.uint8]:
    """A code for each agent: of those in `order`, the first to have the first fault, and so on; of each part that is
    not 0 at least one."""
    fault = np.zeros(len(order), np.uint8)
    first = 0
    for code, part in parts.items():
        count = min(len(order) - first, max(1, round(part * len(order))) if part > 0 else 0)
        fault[order[first : first + count]] = code
        first += count
    return fault
