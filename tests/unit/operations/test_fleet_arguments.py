"""What the verbs about a fleet take, and refuse."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.operations.fleet_arguments import Ask, Broadcast, Cascade, OperationArguments, Ping
from ohmesh.operations.parameter import parse_arguments


@pytest.mark.parametrize(
    ("kind", "given", "word"),
    [
        (Ping, {"at": "+5s", "window": "5s"}, "at:"),
        (Ping, {"at": "+5s", "timing": "now"}, "window:"),
        (Ping, {"at": "soon"}, "at:"),
        (Ping, {"at": "+soon"}, "at:"),
        (Ping, {"percent": 101}, "percent"),
        (Ping, {"timing": "prepare", "window": "1s"}, "timing:"),
        (Ask, {"question": "why", "timing": "prepare", "window": "1s"}, "timing:"),
        (Cascade, {"message": "go", "timing": "prepare", "window": "1s"}, "timing:"),
        (Broadcast, {"message": "go", "timing": "prepare", "window": "100ms"}, "window:"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_the_argument(
    kind: type[OperationArguments], given: dict[str, object], word: str
) -> None:
    with pytest.raises(InvalidArgument, match=word):
        parse_arguments(kind, given, strict=True)


def test_an_instant_is_a_span_from_now_or_a_time() -> None:
    relative = Ping(at="+5s")
    assert (relative.how.value, relative.window_ms, relative.at_ms) == ("hold", 5_000, 0)
    assert relative.timeout_ms == 10_000
    assert Ping(at="2026-11-27T20:00:00Z").at_ms == 1_795_809_600_000
