"""From rows of the fleet to places in a sector, as messages name them."""

from __future__ import annotations

import itertools

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.model.fleet_columns import WHOLE_SECTOR
from ohmesh.model.fleet_table import Places
from ohmesh.model.topology import Topology
from ohmesh.ports.population import Mask, Rows


def places_of(rows: Rows, topology: Topology) -> Places:
    """Of rows of one sector, ascending."""
    sector = int(rows[0]) // topology.sector_size
    clusters, numbers = np.divmod(rows - sector * topology.sector_size, topology.agents)
    return Places(sector, WHOLE_SECTOR, clusters.astype(np.uint8), numbers.astype(np.uint16))


def rows_of_spans(spans: tuple[tuple[int, int], ...], topology: Topology) -> Rows:
    """Raises InvalidArgument: outside of the fleet."""
    for first, count in spans:
        if first + count > topology.size:
            raise InvalidArgument(
                f"Rows {first} to {first + count} lie outside of a fleet of {topology.size}."
            )
    parts = [np.arange(first, first + count) for first, count in spans]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def spans_of(rows: Rows) -> tuple[tuple[int, int], ...]:
    """(first, count) of each stretch of rows, which ascend."""
    if not len(rows):
        return ()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(rows) != 1) + 1, [len(rows)]))
    return tuple((int(rows[first]), int(end - first)) for first, end in itertools.pairwise(starts))


def rows_within(rows: Rows, spans: tuple[tuple[int, int], ...]) -> Mask:
    """Which of `rows` lie in one of the stretches."""
    found = np.zeros(len(rows), bool)
    for first, count in spans:
        found |= (rows >= first) & (rows < first + count)
    return found
