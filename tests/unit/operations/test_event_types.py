"""A type of events that nothing ever has is refused, in every place where one is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.event import EVENT_TYPES
from ohmesh.model.history import HISTORY_EVENTS
from ohmesh.operations.commands import find_command
from ohmesh.operations.event_types import check_types, checked_type
from ohmesh.registry.fields import EVENTS
from ohmesh.registry.selector import compile_selector

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize(
    "text",
    [
        *EVENT_TYPES,
        "task.*",
        "*",
        "*.paused",
        "io.ohmesh.task.dead.v1",
        "io.ohmesh.worker.*",
        "task.s?????ted",
    ],
)
def test_what_can_happen_is_taken(text: str) -> None:
    assert checked_type(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("task.faild", "Did you mean 'task.failed'?"),
        ("task.nope", "There are task.submitted"),
        ("io.ohmesh.task.faild.v1", "Did you mean 'task.failed'?"),
        ("jobs.*", "task.*, worker.*"),
        ("task", "task.submitted"),
    ],
)
def test_what_cannot_is_refused_with_what_there_is(text: str, hint: str) -> None:
    with pytest.raises(InvalidArgument, match="is ever of type") as refused:
        checked_type(text)
    assert hint in str(refused.value.hint)


@pytest.mark.parametrize(
    "text", ["type=task.nope", "not type=task.nope", "kind=x and type in (task.dead, task.nope)"]
)
def test_a_selector_of_events_is_looked_through(text: str) -> None:
    check_types(compile_selector("type and type=task.* and kind=task.nope", EVENTS))
    with pytest.raises(InvalidArgument, match=r"task\.nope"):
        check_types(compile_selector(text, EVENTS))


@pytest.mark.parametrize("given", [{"types": ["task.dead", "task.nope"]}, {"filter": "type=task.nope"}])
def test_a_webhook_that_can_never_be_told_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match=r"task\.nope"):
        find_command("webhooks add").parse({"address": "https://example.org/", **given})


def test_history_refuses_a_kind_of_event_that_it_never_holds() -> None:
    find_command("history events").parse({"kind": "host_joined"})
    with pytest.raises(InvalidArgument, match="'host_joind'") as refused:
        find_command("history events").parse({"kind": "host_joind"})
    assert "Did you mean 'host_joined'?" in str(refused.value.hint)


def test_the_pages_name_every_type_and_no_other() -> None:
    rows = [line for line in (DOCS / "events.md").read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+\.\w+)`", row.split("|")[1])}
    assert named == set(EVENT_TYPES)
    kept = (DOCS / "history.md").read_text().partition("- Events: ")[2].partition(".\n")[0]
    assert set(re.findall(r"`(\w+)`", kept)) == set(HISTORY_EVENTS)
