"""docs/selectors.md says what the code reads: every example is read, every field stands in its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ohmesh.errors import InvalidSelector
from ohmesh.registry.fields import AGENTS, EVENTS, FLEET, TASKS, WORKERS
from ohmesh.registry.selector import Schema, compile_selector

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "selectors.md").read_text(encoding="utf-8")
SECTIONS = {"Tasks": TASKS, "Workers": WORKERS, "Agents": AGENTS, "Fleet": FLEET, "Events": EVENTS}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables(title: str) -> list[list[str]]:
    """The rows of all tables of a section, head and rule left out, each as its cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize(("title", "schema"), SECTIONS.items())
def test_every_field_stands_in_the_table_with_its_type_choices_and_meaning(
    title: str, schema: Schema
) -> None:
    expected = [
        [
            f"`{field.name}`",
            field.type
            + ("s" if field.is_repeated else "")
            + (f": {', '.join(field.choices)}" if field.choices else ""),
            field.help,
        ]
        for field in schema.fields
    ]
    assert [row for row in tables(title) if len(row) == 3] == expected


@pytest.mark.parametrize(("title", "schema"), SECTIONS.items())
def test_every_example_is_read(title: str, schema: Schema) -> None:
    examples = [row[0].strip("`") for row in tables(title) if len(row) == 2]
    assert len(examples) >= 5
    for example in examples:
        assert compile_selector(example, schema)


def test_every_selector_of_the_session_is_read() -> None:
    commands = re.findall(r"^ohmesh (tasks|workers)[^']*'([^']+)'$", PAGE, re.MULTILINE)
    assert [noun for noun, _ in commands] == ["tasks", "workers"]
    for noun, text in commands:
        assert compile_selector(text, SECTIONS[noun.capitalize()])
    (in_python,) = re.findall(r'mesh\.tasks\(filter="([^"]+)"\)', PAGE)
    assert compile_selector(in_python, TASKS)


def test_the_error_that_is_shown_is_the_one_that_is_raised() -> None:
    typed, shown = re.findall(
        r"^\$ ohmesh tasks list --filter '([^']+)'\nerror: (.+\n.+\n.+)$", PAGE, re.MULTILINE
    )[0]
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(typed, TASKS)
    assert str(caught.value) == shown
