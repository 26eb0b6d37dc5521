"""Run one seed of a Raft group, or look for the first that kills a planted bug.

python -m tests.simulation.raft.replay SEED [--planted NAME]
python -m tests.simulation.raft.replay --planted NAME
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.raft.group import Group, SafetyBroken
from tests.simulation.raft.planted import PLANTED, Planted

SEEDS = 1000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--planted", choices=[each.name for each in PLANTED])
    parsed = parser.parse_args(arguments)
    planted = next((each for each in PLANTED if each.name == parsed.planted), Planted(0))
    for seed in [parsed.seed] if parsed.seed is not None else range(SEEDS):
        group = Group(seed, server=planted.server, rules=planted.rules())
        try:
            group.run()
        except SafetyBroken as error:
            sys.stdout.write(f"seed {seed}: {error}\n{group.plan}\n")
            return 1
        if parsed.seed is not None:
            sys.stdout.write(f"seed {seed}: {group.counted}, {group.world.steps} events\n{group.plan}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
