"""What crosses between Python and the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from ohmesh import errors
from ohmesh.roles.client_payload import decode_value, encode_arguments, error_of_code

LIMIT = 10_000


@dataclass
class Point:
    x: int
    y: int


def test_arguments_travel_as_positional_and_named() -> None:
    payload = encode_arguments(
        (1, "a", b"b", [None, True], Point(1, 2), date(2027, 1, 2)), {"k": {"n": 1.5}}, LIMIT
    )
    assert decode_value(payload) == [
        [1, "a", b"b", [None, True], {"x": 1, "y": 2}, "2027-01-02"],
        {"k": {"n": 1.5}},
    ]


@pytest.mark.parametrize(
    ("arguments", "named", "place", "type_name"),
    [
        ((object(),), {}, "Argument 0 is", "object"),
        ((1, [2, {"deep": [0, lambda: 1]}]), {}, r"Argument 1\[1\]\['deep'\]\[1\] is", "function"),
        ((), {"path": {"a": {1, 2}, "b": open}}, r"Argument path\['b'\] is", "builtin_function"),
        ((2**70,), {}, "Argument 0 is", "int"),
    ],
)
def test_a_value_that_cannot_travel_is_named_with_its_place(
    arguments: tuple[object, ...], named: dict[str, object], place: str, type_name: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"{place} a {type_name}"):
        encode_arguments(arguments, named, LIMIT)


def test_an_endless_value_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(errors.InvalidArgument):
        encode_arguments((endless,), {}, LIMIT)


def test_a_payload_above_the_limit_says_how_large_it_is() -> None:
    with pytest.raises(errors.PayloadTooLarge, match=r"20,0\d\d bytes.*10,000.*address"):
        encode_arguments(("x" * 20_000,), {}, LIMIT)


def test_every_code_of_the_tree_becomes_its_error() -> None:
    def below(root: type[errors.OhmeshError]) -> list[type[errors.OhmeshError]]:
        return [one for child in root.__subclasses__() for one in (child, *below(child))]

    needs_more = (errors.SequenceConflict, errors.RetryLater, errors.TooManyRequests)
    for error in below(errors.OhmeshError):
        if error.__module__ == errors.__name__ and not issubclass(error, needs_more):
            assert type(error_of_code(error.code, "because")) is error
    backpressure = error_of_code("backpressure", "full", retry_after_ms=7)
    assert isinstance(backpressure, errors.Backpressure)
    assert backpressure.retry_after_ms == 7


def test_an_unreadable_result_is_said_to_be_one() -> None:
    with pytest.raises(errors.InvalidArgument, match="MessagePack"):
        decode_value(b"\xc1")
