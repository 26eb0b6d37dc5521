"""What is switched on is what the engine does wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ohmesh.engines.memory.faults import EngineFaults
from ohmesh.errors import InvalidArgument
from ohmesh.testing.faults import CALM, Faults, engine_faults


def test_calm_is_an_engine_without_faults() -> None:
    assert engine_faults(CALM) == EngineFaults()


def test_each_switch_reaches_what_it_is_about() -> None:
    found = engine_faults(
        Faults(
            delivery_ms=(1, 2),
            lost_messages=0.1,
            duplicated_messages=0.2,
            write_ms=(3, 4),
            lost_writes=0.3,
            lost_acknowledgements=0.4,
            late_writes=0.5,
            refused_writes=0.6,
        )
    )
    assert (found.bus.delay_ms, found.bus.loss, found.bus.duplication) == ((1, 2), 0.1, 0.2)
    for calls in (found.append, found.state, found.blobs):
        assert (calls.delay_ms, calls.request_lost, calls.ack_lost) == ((3, 4), 0.3, 0.4)
        assert (calls.late, calls.refused) == (0.5, 0.6)


@pytest.mark.parametrize(
    "wrong",
    [{"lost_messages": 1.5}, {"refused_writes": -0.1}, {"delivery_ms": (5, 1)}, {"write_ms": (-1, 1)}],
)
def test_what_is_no_chance_or_no_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        Faults(**wrong)
