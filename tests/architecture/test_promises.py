"""docs/promises.md names tests that exist, and says so where a promise has none yet."""

from __future__ import annotations

import re

from tests.architecture.sources import ROOT, functions, listed

PROMISES = ROOT / "docs" / "promises.md"
NAMED_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
NOT_YET = "not yet"


def rows() -> list[list[str]]:
    lines = [line for line in PROMISES.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_promise_has_a_test_or_says_that_it_has_none_yet() -> None:
    problems = [
        f"docs/promises.md: {promise!r} is kept by no test; name one, or say '{NOT_YET}'"
        for promise, kept_by, _ in rows()
        if bool(NAMED_TEST.search(kept_by)) == kept_by.startswith(NOT_YET)
    ]
    assert rows()
    assert not problems, listed(problems)


def test_every_test_that_a_promise_names_exists() -> None:
    problems = []
    for file, name in NAMED_TEST.findall(PROMISES.read_text(encoding="utf-8")):
        path = ROOT / "tests" / file
        if not path.exists():
            problems.append(f"docs/promises.md: there is no tests/{file}")
        elif name not in {function.name for function in functions(path)}:
            problems.append(f"docs/promises.md: tests/{file} has no {name}")
    assert not problems, listed(problems)
