"""The agents that live in one process of the fleet, as the roles see them: many at once, by their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import Coordinate, ReportedConflict

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """These agents have done what was asked, or cannot. All of shape (n,), in the order of `rows`, which ascend.

    states: TargetState of each, READY or CONFLICT. processing_ms: from the arrival until now. answer: from 1 into
    `answers`, 0 for none; None when nobody has one. conflicts: a place in the arrays, and the reason."""

    rows: Rows
    states: NDArray[np.int8]
    processing_ms: NDArray[np.float32]
    answer: NDArray[np.uint16] | None = None
    answers: tuple[bytes, ...] = ()
    conflicts: tuple[tuple[int, ReportedConflict], ...] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class Residents:
    """Who lives here; of shape (n,), rows ascending. class_codes: places in the classes of the mesh."""

    rows: Rows
    class_codes: NDArray[np.uint8]
    capabilities: tuple[tuple[str, ...], ...] = ()
    names: dict[int, str] = field(default_factory=dict)
    is_simulated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Vitals:
    """What agents say of themselves in a heartbeat, of shape (n,); NaN where nothing was measured yet."""

    processing_ms: NDArray[np.float32]
    queue_depth: NDArray[np.uint32]
    reliability: NDArray[np.float32]
    drift: NDArray[np.float32]
    duty: NDArray[np.uint8]
    context_hash: NDArray[np.uint64]


AnsweredCallback = Callable[[Answered], None]


class Population(Protocol):
    def residents(self) -> Residents: ...

    def vitals(self, rows: Rows) -> Vitals: ...

    def deliver(self, order: Coordinate, rows: Rows, answered: AnsweredCallback) -> None:
        """The order has arrived at these agents. `answered` is called once for each of them that ever answers, for many
        at once where it can be, at once or later, in the loop's thread."""
        ...


@runtime_checkable
class SaysContext(Protocol):
    """A population whose agents are asked which context they hold: `context_of` tells it, of shape (n,), 0 for none.
    Contexts are kept in front of the population, which is told here where to look."""

    context_of: Callable[[Rows], NDArray[np.uint64]]


@runtime_checkable
class WritesContext(Protocol):
    """A population whose agents change their own context. `write_context` (rows, entries, is_change) puts entries into
    the context of each, which comes from the one that it held, or from none where it is no change of it."""

    write_context: Callable[[Rows, Mapping[str, bytes], bool], None]


@runtime_checkable
class ComesAndGoes(Protocol):
    """A population whose agents are not always there. `changed` hears rows of those that have just come."""

    changed: Callable[[Rows], None]

    def present(self) -> Rows: ...


@runtime_checkable
class IsFrozenToo(Protocol):
    """A population whose agents live elsewhere, and are to stop by themselves while they are frozen."""

    def freeze(self, rows: Rows, *, thaw: bool) -> None: ...


@runtime_checkable
class Restarts(Protocol):
    """A population whose agents can be begun anew one by one."""

    def restart(self, rows: Rows) -> None: ...


@runtime_checkable
class CarriesState(Protocol):
    """A population whose agents carry a state of their own, to be kept while they are frozen."""

    def carried(self, rows: Rows) -> bytes: ...

    def restore(self, rows: Rows, carried: bytes, chosen: NDArray[np.intp]) -> None:
        """Of what `carried(rows)` made, take back that of the places `chosen` of `rows`; all of them live here."""
        ...
