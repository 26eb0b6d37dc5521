"""What a task says of itself, through the page that its process shares with its host."""

from __future__ import annotations

import os

import pytest

from ohmesh import InvalidArgument, report_progress
from ohmesh.runners.page import CURRENT, PROGRESS_SLOTS, Page, create_page_file
from ohmesh.runners.progress import NOTE_MAX_CHARS, ProgressDesk, ProgressReader, number_of_task


def desk_and_reader(*, is_async: bool = False) -> tuple[ProgressDesk, ProgressReader, Page]:
    descriptor = create_page_file(4096)
    page = Page(descriptor)
    os.close(descriptor)
    return ProgressDesk(page, is_async=is_async), ProgressReader(page), page


def test_the_latest_report_of_the_running_task_is_read_once() -> None:
    desk, reader, page = desk_and_reader()
    page.words[CURRENT] = 7
    desk.put(1.0, 3.0, "one")
    desk.put(2.0, 3.0, "two")
    assert [(one.number, one.done, one.total, one.note) for one in reader.look()] == [(7, 2.0, 3.0, "two")]
    assert reader.look() == []


def test_where_no_task_runs_nothing_is_told() -> None:
    desk, reader, _ = desk_and_reader()
    desk.put(1.0, None, "")
    assert reader.look() == []


def test_in_an_async_process_the_context_says_whose_report_it_is() -> None:
    desk, reader, page = desk_and_reader(is_async=True)
    page.words[CURRENT] = 1
    for number in (2, 3):
        token = number_of_task.set(number)
        desk.put(float(number), None, "")
        number_of_task.reset(token)
    assert {one.number: one.done for one in reader.look()} == {2: 2.0, 3: 3.0}


def test_the_longest_note_fits_its_slot_and_the_next_one() -> None:
    desk, reader, page = desk_and_reader()
    for number in (PROGRESS_SLOTS - 1, PROGRESS_SLOTS):
        page.words[CURRENT] = number
        desk.put(-1e300, 1e300, "\N{GRINNING FACE}" * NOTE_MAX_CHARS)
    assert {one.number for one in reader.look()} == {PROGRESS_SLOTS - 1, PROGRESS_SLOTS}


def test_what_user_code_wrote_over_is_no_report_and_hides_no_later_one() -> None:
    desk, reader, page = desk_and_reader()
    page.words[CURRENT] = 1
    desk.put(1.0, None, "")
    page.progress[:] = b"\xfe" * len(page.progress)
    assert reader.look() == []
    page.progress[:] = bytes(len(page.progress))
    desk.put(2.0, None, "")
    assert [one.done for one in reader.look()] == [2.0]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((float("nan"),), "done"),
        ((float("inf"),), "done"),
        ((True,), "done"),
        (("1",), "done"),
        ((10**400,), "done"),
        ((1, float("inf")), "total"),
        ((1, 2, "x" * (NOTE_MAX_CHARS + 1)), "note"),
        ((1, 2, b"bytes"), "note"),
    ],
)
def test_what_is_no_progress_is_refused_by_the_name_of_its_argument(
    arguments: tuple[float, ...], name: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name}: "):
        report_progress(*arguments)  # type: ignore[arg-type]  # that is the point


def test_outside_a_worker_a_report_goes_nowhere() -> None:
    report_progress(1, 2, "a lone \ud800 surrogate too")
