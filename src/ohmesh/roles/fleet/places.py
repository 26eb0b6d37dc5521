"""From rows of the fleet to places in a sector, as messages name them."""

from __future__ import annotations

import numpy as np

from ohmesh.model.fleet_columns import WHOLE_SECTOR
from ohmesh.model.fleet_table import Places
from ohmesh.model.topology import Topology
from ohmesh.ports.population import Rows


def places_of(rows: Rows, topology: Topology) -> Places:
    """Of rows of one sector, ascending."""
    sector = int(rows[0]) // topology.sector_size
    clusters, numbers = np.divmod(rows - sector * topology.sector_size, topology.agents)
    return Places(sector, WHOLE_SECTOR, clusters.astype(np.uint8), numbers.astype(np.uint16))
