"""The kinds `function` and `text`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ohmesh.errors import ArgumentsRefused
from ohmesh.handlers.loading import load_handlers


def call(kind: str, *positional: object, allow: tuple[str, ...] = (), **keyword: object) -> Any:
    (handler,) = load_handlers([kind], {"allow": allow})
    return msgspec.msgpack.decode(handler.invoke(msgspec.msgpack.encode([list(positional), keyword])))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I love this, it is wonderful!", "POSITIVE"),
        ("This is a horrible, sad failure.", "NEGATIVE"),
        ("The table has four legs.", "NEUTRAL"),
        ("👍 great".encode(), "POSITIVE"),
    ],
)
def test_the_sentiment_of_a_text_has_a_label_and_a_score(text: str | bytes, label: str) -> None:
    found = call("text", text)
    assert found["label"] == label
    assert -1 <= found["score"] <= 1
    assert found["positive"] + found["neutral"] + found["negative"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        ("word " * 5000, "25000 characters"),
        (5, "int"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_the_reason(text: object, reason: str) -> None:
    with pytest.raises(ArgumentsRefused, match=reason):
        call("text", text)


def test_the_function_kind_calls_what_is_allowed() -> None:
    assert call("function", "ohmesh.handlers.samples:add", 1, second=2) == 3
    assert call("function", "ohmesh.handlers.samples:count_words", "to be, or not to be") == {
        "to": 2,
        "be": 2,
        "or": 1,
        "not": 1,
    }
    assert call("function", "math:sqrt", 9, allow=("math",)) == 3
    assert call("function", "json:loads", "[1]", allow=("json",)) == [1]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("os:getcwd", "not allowed"),
        ("mathematics:sqrt", "not allowed"),
        ("math:nothing", "not found"),
        ("math:pi", "not a plain function"),
        ("json:codecs.open", "not allowed"),  # reached through an allowed module, defined elsewhere
        ("math:__loader__", "does not name a function"),
        ("math", "does not name a function"),
        (":sqrt", "does not name a function"),
    ],
)
def test_the_function_kind_refuses_what_is_not(target: str, reason: str) -> None:
    with pytest.raises(ArgumentsRefused, match=reason):
        call("function", target, 4, allow=("math", "json"))
