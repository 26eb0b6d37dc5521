"""Words of columns: kept once, found again, forgotten when no row names them."""

from __future__ import annotations

import numpy as np

from ohmesh.registry.fleet.words import FLOOR, MAX_WORD_CHARACTERS, WordTable


def test_a_word_has_one_code_and_the_empty_text_has_0() -> None:
    table = WordTable()
    codes = table.add(["a", "", "b", "a"])
    assert [table.texts[code] for code in codes] == ["a", "", "b", "a"]
    assert codes[0] == codes[3]
    assert codes[1] == 0
    assert (table.find("b"), table.find("c")) == (codes[2], None)


def test_a_sweep_forgets_what_is_not_used_and_its_codes_are_used_again() -> None:
    table = WordTable()
    kept, lost = table.add(["kept", "lost"])
    table.sweep(np.array([kept], np.uint32))
    assert (table.find("kept"), table.find("lost"), table.texts[lost]) == (kept, None, "")
    assert table.add(["new"])[0] == lost
    assert table.texts[kept] == "kept"


def test_the_table_stays_bounded_however_many_tasks_come_and_go() -> None:
    table, live = WordTable(), 50
    codes = table.add([])
    largest = 0
    for turn in range(200):
        if table.is_full:
            table.sweep(codes)
        codes = table.add([f"task-{turn}-{place}" for place in range(live)])
        largest = max(largest, len(table))
    assert largest <= max(FLOOR, 2 * live) + live + 1
    assert len(table.texts) == largest


def test_a_word_that_is_too_long_is_cut() -> None:
    table = WordTable()
    (code,) = table.add(["x" * 300])
    assert table.texts[code] == "x" * MAX_WORD_CHARACTERS
    assert table.find("x" * 250) == code == table.add(["x" * 201])[0]
