"""Bounds are checked once, where they are given."""

from __future__ import annotations

import msgspec
import pytest

from ohmesh.engines.ledger.config import LINE_BITS, LedgerConfig
from ohmesh.errors import InvalidArgument


@pytest.mark.parametrize("name", [name for name in LedgerConfig.__struct_fields__ if name != "fsync"])
def test_a_bound_is_at_least_one(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        msgspec.convert({name: 0}, LedgerConfig)


def test_a_batch_has_no_more_lines_than_its_keys_can_number() -> None:
    with pytest.raises(InvalidArgument, match="batch_rows_max"):
        LedgerConfig(batch_rows_max=1 << LINE_BITS)
