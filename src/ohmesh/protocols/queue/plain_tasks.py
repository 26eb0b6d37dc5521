"""Tasks that have only been submitted, in columns, as a snapshot holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue.parked import Place
from ohmesh.protocols.queue.snapshot_form import Slice


@dataclass(frozen=True, slots=True)
class PlainTasks:
    """In the order of submission. records: MessagePack of each Submission; ids: theirs; places: kind and requirements,
    place_of: an index into them; the rest is 64 bits each, priorities 8."""

    ids: list[str]
    records: list[bytes]
    orders: NDArray[np.uint64]
    submitted_ms: NDArray[np.uint64]
    due_ms: NDArray[np.uint64]
    places: list[Place]
    place_of: NDArray[np.uint16]
    priorities: NDArray[np.uint8]

    @classmethod
    def of(cls, piece: Slice) -> PlainTasks:
        """Raises LogCorrupt."""
        try:
            orders, submitted, due = (
                np.frombuffer(column, "<u8") for column in (piece.orders, piece.submitted_ms, piece.due_ms)
            )
            place_of = np.frombuffer(piece.place_of, "<u2")
        except ValueError as error:
            raise LogCorrupt(f"A slice of a snapshot has columns of no whole numbers: {error}.") from error
        priorities = np.frombuffer(piece.priorities, np.uint8)
        columns: tuple[Sized, ...] = (piece.ids, piece.records, orders, submitted, due, place_of, priorities)
        if any(len(column) != len(orders) for column in columns) or (
            len(place_of) and place_of.max() >= len(piece.places)
        ):
            raise LogCorrupt("The columns of a slice of a snapshot do not fit each other.")
        return cls(piece.ids, piece.records, orders, submitted, due, piece.places, place_of, priorities)

    def counts(self) -> Iterator[tuple[Place, int]]:
        """How many there are of each place."""
        found = np.bincount(self.place_of, minlength=len(self.places))
        return zip(self.places, found.tolist(), strict=True)
