"""Tables are aligned, fit, and say when something was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ohmesh.cli.schedule_forms import SCHEDULE_COLUMNS
from ohmesh.cli.table import cell_text, render_record, render_table
from ohmesh.cli.text_width import text_width

ROWS = [
    {"task": "A", "state": "succeeded", "attempts": 1},
    {"task": "B", "state": "dead", "attempts": 12, "agent": "here/nap"},
]


def test_columns_are_aligned_numbers_right_and_text_left() -> None:
    assert render_table(ROWS, columns=("task", "attempts", "state")).splitlines() == [
        "TASK  ATTEMPTS  STATE",
        "A            1  succeeded",
        "B           12  dead",
    ]


def test_without_a_choice_every_column_is_shown_in_the_order_of_its_appearance() -> None:
    assert render_table(ROWS).splitlines()[0].split() == ["TASK", "STATE", "ATTEMPTS", "AGENT"]


def test_what_was_cut_ends_in_dots() -> None:
    lines = render_table([{"name": "n", "text": "word " * 50}], width=30).splitlines()
    assert lines[1].endswith("...")
    assert len(lines[1]) <= 30


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.text(max_size=80), min_size=1), min_size=1, max_size=5
    ),
    width=st.integers(60, 120),
)
def test_a_table_fits_its_width_and_has_a_line_per_row(rows: list[dict[str, str]], width: int) -> None:
    named = [{"id": "T", **row} for row in rows]
    lines = render_table(named, width=width).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(text_width(line) <= width for line in lines)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_cell_is_one_line(value: object) -> None:
    assert len(cell_text(value).splitlines()) <= 1


def test_cells_read_as_people_write() -> None:
    assert [cell_text(value) for value in (None, True, False, 1.5, 2.0, ["a", 1], {"x": 1})] == [
        "", "yes", "no", "1.5", "2", "a, 1", "x=1",
    ]  # fmt: skip


def test_a_record_is_a_line_for_each_name() -> None:
    assert render_record({"label": "POSITIVE", "long_name": 0.5}) == "label      POSITIVE\nlong name  0.5"
    assert render_record({}) == ""


def test_the_name_of_a_row_is_never_cut() -> None:
    rows = [{"task": "x" * 70, "agent": "y" * 60, "kind": "z" * 40}]
    assert render_table(rows, width=60).splitlines()[1] == "x" * 70
    rows = [{"task": "x" * 26, "agent": "y" * 60, "kind": "z" * 40}]
    line = render_table(rows, width=60).splitlines()[1]
    assert line.startswith("x" * 26 + "  yyyy")
    assert len(line) <= 60


def test_a_narrow_terminal_goes_without_the_last_columns_and_cuts_no_word() -> None:
    rows = [
        {"task": "x" * 26, "kind": "text", "state": "succeeded", "priority": "NORMAL", "agent": "here/text"}
    ]
    head, line = render_table(rows, width=60).splitlines()
    assert head.split() == ["TASK", "KIND", "STATE", "PRIORITY"]
    assert "succeeded" in line


def test_columns_that_a_person_chose_are_all_shown() -> None:
    rows = [{"task": "x" * 26, "a": "y" * 40, "b": "z" * 40, "c": "w" * 40}]
    head, line = render_table(rows, columns=("b", "task", "a", "c"), width=120, is_chosen=True).splitlines()
    assert head.split() == ["B", "TASK", "A", "C"]
    assert len(line) <= 120


def test_an_id_and_a_time_are_whole_wherever_they_stand() -> None:
    row = {"ended": "2026-01-31T10:00:00Z", "task": "01JD3Y9Q8K2M4N6P8R0S2T4V6W", "agent": "a" * 80}
    rendered = render_table([row], width=70)
    assert row["task"] in rendered
    assert row["ended"] in rendered
    assert all(len(line) <= 70 for line in rendered.splitlines())


def test_when_a_schedule_is_due_is_shown_whole_or_not_at_all() -> None:
    row = dict.fromkeys(SCHEDULE_COLUMNS, "long-words-" * 3) | {"next due": "2026-11-27T10:00:00Z"}
    for width in range(60, 400):
        table = render_table([row], columns=SCHEDULE_COLUMNS, width=width)
        assert ("2026" in table) == ("2026-11-27T10:00:00Z" in table)
