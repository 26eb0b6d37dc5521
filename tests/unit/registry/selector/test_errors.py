"""What cannot be read is refused: where, what was expected, what was probably meant."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument, InvalidSelector
from ohmesh.registry.selector import compile_selector
from ohmesh.registry.selector.parser import SelectorLimits
from tests.unit.registry.selector.made_up import FLEET

# A selector, the place of the caret, and words of the message.
REFUSED = [
    ("", 0, "Expected the name of a field"),
    ("   ", 0, "found the end"),
    ("stat=gone", 0, "Did you mean state?"),
    ("State=gone", 0, "Did you mean state?"),
    ("zzz=1", 0, "The fields of agents: class, name"),
    ("class=gpu and impedence>1s", 14, "Did you mean impedance?"),
    ("state=quarntined", 6, "Did you mean quarantined?"),
    ("state=x*", 6, "It is one of active, quarantined, gone."),
    ("state in (active, broken)", 18, "state is never 'broken'"),
    ("state>active", 5, "Use =, != or in."),
    ("class<gpu", 5, "has no meaning"),
    ("grade>h*", 6, "A pattern cannot stand behind >"),
    ("sector=three", 7, "a number, such as 3"),
    ("sector=3s", 7, "'3s' is not"),
    ("sector=1e5", 7, "'1e5' is not"),
    ("sector=nan", 7, "'nan' is not"),
    ("sector=9999999999999999", 7, "is not"),
    ("sector=99999999999999999999", 7, "is not"),
    ("sector=3*", 7, "a number"),
    ("load>80ms", 5, "a share, such as 80%"),
    ("impedance>400", 10, "a duration with its unit (ms, s, min, h, d)"),
    ("impedance>5m", 10, "'5m' is not"),
    ("impedance>1e3ms", 10, "a duration"),
    ("seen>yesterday", 5, "a time, such as 2026-01-31"),
    ("seen>2026-13-01", 5, "a time"),
    ("seen>0001-01-01T00:00+14:00", 5, "a time"),
    ("class=", 6, "Expected a word, or a text in quotes, found the end."),
    ("state=", 6, "Expected one of active, quarantined, gone, found the end."),
    ("class=and", 6, "Keywords are quoted to be values."),
    ("class=gpu sector=3", 10, "Expected `and`, `or` or the end, found 'sector'."),
    ("class=gpu)", 9, "found ')'"),
    ("(class=gpu", 10, "Expected `and`, `or` or ), found the end."),
    ("()", 1, "Expected the name of a field"),
    ("class in gpu", 9, "Expected ( and a list of values"),
    ("class in ()", 10, "found ')'"),
    ("class in (gpu cpu)", 14, "Expected a comma or )"),
    ("class in (gpu,)", 14, "found ')'"),
    ("class not gpu", 10, "as in `class not in (...)`"),
    ("class=gpu and", 13, "found the end"),
    ("and class=gpu", 0, "found 'and'"),
    ("not", 3, "found the end"),
    ("class=gpu && sector=3", 10, "Write `and`."),
    ("class=gpu || sector=3", 10, "Write `or`."),
    ("!class", 0, "Write `not`"),
    ("class='gpu", 6, "This quote is not closed."),
    ('class="gpu', 6, 'End the value with "'),
    ("class=a\\b", 7, "in quotes"),
    ("class=\x00", 6, "means nothing here"),
    ("class='\ud800'", 7, "Write valid Unicode."),
    ("'class'=gpu", 0, "Expected the name of a field"),
    ("class==", 7, "found the end"),
    ("class=<gpu", 6, "found '<'"),
    ("=gpu", 0, "found '='"),
    ("not " * 33 + "class", 128, "more than 32 levels"),
    ("(" * 33 + "class" + ")" * 33, 32, "more than 32 levels"),
    ("class in (" + ",".join(["x"] * 201) + ")", 9, "at most 200 values"),
]


@pytest.mark.parametrize(("text", "position", "said"), REFUSED)
def test_it_is_refused_with_its_place_and_reason(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(text, FLEET)
    error = caught.value
    assert error.position == position
    assert said in str(error)
    assert isinstance(error, InvalidArgument)
    assert error.code == "invalid_selector"


@pytest.mark.parametrize(("text", "position", "said"), REFUSED)
def test_the_caret_stands_below_the_place(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(text, FLEET)
    shown, caret = caught.value.excerpt.split("\n")
    assert shown.isprintable()
    assert len(shown) <= 80
    pointed_at = shown[caret.index("^") :][:1]
    expected = text[position : position + 1]
    assert pointed_at == (expected if expected.isprintable() else " ").strip() or pointed_at.isspace()
    assert str(caught.value).endswith(caught.value.excerpt), said


def test_a_long_text_is_shown_around_the_place() -> None:
    text = "class=gpu and " * 100 + "sektor=3" + " and class=gpu" * 100
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(text, FLEET)
    shown, caret = caught.value.excerpt.split("\n")
    assert shown[caret.index("^") :].startswith("sektor=3 and")
    assert caught.value.position == text.index("sektor")


def test_a_long_word_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector("x" * 3_000, FLEET)
    assert len(str(caught.value)) < 400


def test_a_text_above_the_bound_is_refused_before_it_is_read() -> None:
    limits = SelectorLimits(characters=20)
    assert compile_selector("class=gpu and load>0", FLEET, limits=limits)
    with pytest.raises(InvalidSelector, match=r"21 characters, at most 20"):
        compile_selector("class=gpu and load>00", FLEET, limits=limits)


def test_depth_and_lists_up_to_the_bound_are_read() -> None:
    assert compile_selector("(" * 32 + "class" + ")" * 32 + " and (class)", FLEET).cost == 2
    assert compile_selector("class in (" + ",".join(map(str, range(200))) + ")", FLEET).cost == 200
