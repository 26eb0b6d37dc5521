"""Small or large: the boundaries of each kind, and what is refused."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.complexity import Complexity, complexity_of
from ohmesh.policies.complexity import ComplexityConfig, Estimators, built_in_estimators, complexity_of_task

ESTIMATORS = built_in_estimators(ComplexityConfig(llm_tokens=1_000))


def tag(kind: str, *arguments: Any, estimators: Estimators = ESTIMATORS, **named: Any) -> str:
    return complexity_of_task(kind, arguments, named, estimators).value


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def test_small_weighs_one_and_large_three() -> None:
    assert (Complexity.SMALL.weight, Complexity.LARGE.weight) == (1, 3)
    assert [complexity_of(weight) for weight in (1, 2, 3, 9)] == ["small", "small", "large", "large"]


@pytest.mark.parametrize(
    ("words", "expected"), [(0, "small"), (1, "small"), (200, "small"), (201, "large"), (5_000, "large")]
)
def test_a_text_is_large_above_two_hundred_words(words: int, expected: str) -> None:
    for text in (" ".join(["a"] * words), "\n\t wörter \n" * words):
        assert tag("text", text) == expected
        assert tag("text", text.encode()) == expected
        assert tag("text", text=text) == expected


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1, 1, "small"), (1000, 1000, "small"), (1001, 1, "large"), (1, 1001, "large"), (4000, 3000, "large")],
)
def test_an_image_is_large_when_a_side_is_above_a_thousand_pixels(
    width: int, height: int, expected: str
) -> None:
    image = png(width, height)
    assert tag("image", image) == expected
    assert tag("image", image=image, operation="size") == expected


def test_an_image_may_be_text_in_base64() -> None:
    assert tag("image", base64.b64encode(png(1001, 9)).decode()) == "large"
    assert tag("image", image=base64.b64encode(png(9, 9)).decode()) == "small"


@pytest.mark.parametrize(
    ("kind", "argument", "reason"),
    [
        ("text", b"\xff\xfe", "not UTF-8"),
        ("image", b"", "empty"),
        ("image", b"not a picture", "begins with b'not a pi'"),
        ("image", png(5, 5)[:20], "ends inside its header, after 20 bytes"),
        ("image", "not base64!", "must be base64"),
        ("image", "bm90IGEgcGljdHVyZQ==", "begins with b'not a pi'"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(kind: str, argument: object, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        tag(kind, argument)


@pytest.mark.parametrize(
    ("arguments", "named", "expected"),
    [
        (["x" * 4_000], {}, "small"),
        (["x" * 4_001], {}, "large"),
        ([], {"prompt": "x" * 4_001}, "large"),
        ([[{"role": "user", "content": "x" * 3_992}]], {}, "small"),  # with the four letters of the role
        ([[{"role": "user", "content": "x" * 3_997}]], {}, "large"),
        (["漢" * 1_333], {}, "small"),  # three bytes each
        (["漢" * 1_334], {}, "large"),
        (["short"], {"max_tokens": 998}, "small"),
        (["short"], {"max_tokens": 999}, "large"),
    ],
)
def test_a_prompt_is_large_by_the_tokens_it_holds_and_asks_for(
    arguments: list[Any], named: dict[str, Any], expected: str
) -> None:
    assert tag("llm", *arguments, **named) == expected


def test_other_kinds_and_arguments_of_other_types_are_small() -> None:
    assert tag("report", "word " * 5_000, b"\xff") == "small"
    assert tag("text", ["word"] * 5_000) == "small"
    assert tag("image", 5) == "small"
    assert tag("text") == tag("image") == tag("llm") == "small"


def test_a_threshold_of_nothing_leaves_the_kind_unjudged() -> None:
    estimators = built_in_estimators(ComplexityConfig(text_words=0, image_pixels=0, llm_tokens=0))
    assert tag("image", "a/path.png", estimators=estimators) == "small"
    assert tag("text", b"\xff", estimators=estimators) == tag("llm", "x" * 9_999, estimators=estimators)


def test_a_kind_may_have_an_estimator_of_its_own() -> None:
    def by_pages(pages: int, *, draft: bool = False) -> Complexity:
        return Complexity.LARGE if pages > 50 and not draft else Complexity.SMALL

    estimators = {**ESTIMATORS, "report": by_pages}
    assert tag("report", 51, estimators=estimators) == "large"
    assert tag("report", 51, draft=True, estimators=estimators) == "small"
    assert tag("text", "one", estimators=estimators) == "small"
    for arguments in ((), ("many",)):
        with pytest.raises(InvalidArgument, match="estimator of kind 'report' raised TypeError"):
            tag("report", *arguments, estimators=estimators)
    with pytest.raises(InvalidArgument, match="'huge' is not a valid Complexity"):
        tag("report", estimators={"report": lambda: "huge"})  # type: ignore[dict-item,return-value]
