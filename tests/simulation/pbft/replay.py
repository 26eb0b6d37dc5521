"""Run one seed of a committee with liars, and print what came of it.

python -m tests.simulation.pbft.replay SEED
"""

from __future__ import annotations

import random
import sys

from ohmesh.protocols.consensus.pbft.replica import Replica
from ohmesh.protocols.consensus.pbft.settings import faults_of
from tests.simulation.pbft.committee import Committee
from tests.simulation.pbft.liars import LIARS

SIZES = (4, 4, 7, 4, 7, 10, 4, 13)


def committee_of(seed: int, kind: type[Replica] = Replica) -> Committee:
    """As many liars as there may be, each of a kind drawn by the seed."""
    size = SIZES[seed % len(SIZES)]
    rng = random.Random(seed * 7 + 1)
    liars = tuple(rng.choice(LIARS) for _ in range(faults_of(size)))
    return Committee(seed, size, liars=liars, kind=kind)


if __name__ == "__main__":
    committee = committee_of(int(sys.argv[1]))
    committee.run()
    views = {name: server.replica.view for name, server in committee.servers.items()}
    sys.stdout.write(
        f"{len(committee.history)} requests executed, {committee.world.steps} events, views {views}\n"
    )
