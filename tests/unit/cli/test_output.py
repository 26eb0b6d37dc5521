"""Data goes to stdout and talk to stderr; JSON is whole; colour stays on terminals."""

from __future__ import annotations

import io
import json

import pytest

from ohmesh.cli.output import Output, to_text, uses_colour
from ohmesh.operations.results import QueueDepth


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_one_document_on_stdout_and_talk_stays_on_stderr() -> None:
    out, talk = io.StringIO(), io.StringIO()
    output = Output(as_json=True, out=out, talk=talk)
    output.say("working")
    output.data(QueueDepth("text", 1, 2, 3))
    assert json.loads(out.getvalue()) == {"kind": "text", "queued": 1, "running": 2, "retrying": 3}
    assert talk.getvalue() == "working\n"


def test_text_is_a_table_for_records_lines_for_one_and_bare_for_a_value() -> None:
    assert to_text([{"a": 1}, {"a": 2}]) == "A\n1\n2"
    assert to_text({"a": 1}) == "a  1"
    assert to_text("plain") == "plain"
    assert to_text([1, "two"]) == "1\ntwo"
    assert to_text(None) == ""


def test_an_error_is_one_line_whatever_it_says() -> None:
    talk = io.StringIO()
    Output(talk=talk).error("it failed:\n  badly.\nDo that.")
    assert talk.getvalue() == "error: it failed: badly. Do that.\n"


def test_an_excerpt_stands_below_an_error_as_it_is() -> None:
    talk = io.StringIO()
    Output(talk=talk).error("it failed.", "    a  b\n       ^")
    assert talk.getvalue() == "error: it failed.\n    a  b\n       ^\n"


def test_colour_is_for_terminals_and_no_color_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert uses_colour(Terminal())
    assert not uses_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not uses_colour(Terminal())


def test_quiet_output_says_nothing() -> None:
    talk = io.StringIO()
    Output(quiet=True, talk=talk).say("talk")
    assert talk.getvalue() == ""
