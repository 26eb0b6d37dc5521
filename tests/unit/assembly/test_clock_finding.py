"""What doctor says of this machine's clock, from when it asked, when it heard, and the mesh's time in between."""

from __future__ import annotations

import pytest

from ohmesh.assembly.findings import Weight
from ohmesh.assembly.mesh_checks import clock_finding

ASKED_MS, ANSWERED_MS = 1_000_000, 1_000_030


@pytest.mark.parametrize("mesh_ms", [[ASKED_MS, ANSWERED_MS], [ASKED_MS - 1_900], [ANSWERED_MS + 1_900], []])
def test_a_clock_that_may_be_right_is_fine(mesh_ms: list[int]) -> None:
    assert clock_finding(ASKED_MS, ANSWERED_MS, mesh_ms).weight is Weight.FINE


@pytest.mark.parametrize(
    ("mesh_ms", "words"),
    [
        ([ASKED_MS - 60_000, ASKED_MS], "60.0 s ahead of the mesh's"),
        ([ANSWERED_MS + 5_500, ANSWERED_MS], "5.5 s behind the mesh's"),
    ],
)
def test_a_clock_that_must_be_wrong_is_told_by_how_much_at_least(mesh_ms: list[int], words: str) -> None:
    finding = clock_finding(ASKED_MS, ANSWERED_MS, mesh_ms)
    assert finding.weight is Weight.WARNING
    assert finding.text.startswith(words)
    assert finding.remedy
