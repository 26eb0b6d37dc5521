"""A committee agrees whatever a third of it says, and every planted bug is found out.

Replay one seed:  .venv/bin/python -m tests.simulation.pbft.replay SEED
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.pbft.committee import PromiseBroken
from tests.simulation.pbft.planted import PLANTED, Planted
from tests.simulation.pbft.replay import committee_of

SEEDS = 10_000 if int(os.environ.get("OHMESH_SEEDS", "0")) >= 1000 else 120
CHUNK = 20

# Seeds that failed once, with what they showed; they are run for ever.
REMEMBERED = [
    pytest.param(20, id="signed noise that is no text ended a replica"),
    pytest.param(102, id="a request was executed twice after a state had been fetched"),
    pytest.param(345, id="a checkpoint that got lost stopped everything once the window was full"),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_a_committee_keeps_its_promises(first: int) -> None:
    for seed in range(first, first + CHUNK):
        _run(seed)


@pytest.mark.parametrize("seed", REMEMBERED)
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    _run(seed)


@pytest.mark.parametrize("planted", [pytest.param(each, id=each.kind.__name__) for each in PLANTED])
def test_a_planted_bug_is_found_out(planted: Planted) -> None:
    with pytest.raises(PromiseBroken):
        committee_of(planted.seed, planted.kind).run()


def _run(seed: int) -> None:
    try:
        committee_of(seed).run()
    except PromiseBroken as error:
        raise AssertionError(f"python -m tests.simulation.pbft.replay {seed}\n{error}") from error
