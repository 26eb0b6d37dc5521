"""Every error code has a page, and docs/errors.md is the same catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohmesh import errors
from ohmesh.api.catalogue import ADVICE, catalogue, markdown
from tests.unit.api.door_in_memory import Run, ServedDoor, with_lone_door

PAGE = Path(__file__).resolve().parents[3] / "docs" / "errors.md"


def tree(error: type[errors.OhmeshError]) -> list[type[errors.OhmeshError]]:
    below = [each for child in error.__subclasses__() for each in tree(child)]
    return [error, *below] if error.__module__ == errors.__name__ else []


def test_every_code_of_the_tree_is_in_the_catalogue_and_no_other() -> None:
    codes = [error.code for error in tree(errors.OhmeshError)]
    assert sorted(catalogue()) == sorted(codes) == sorted(ADVICE)


@pytest.mark.parametrize("error", tree(errors.OhmeshError), ids=lambda error: error.code)
def test_a_page_says_what_the_tree_says(error: type[errors.OhmeshError]) -> None:
    page = catalogue()[error.code]
    assert (page.name, page.status, page.is_retryable) == (
        error.__name__,
        error.http_status,
        error.retryable,
    )
    assert page.meaning
    assert page.advice.endswith((".", "!"))


def test_the_page_in_docs_is_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "write docs/errors.md anew from catalogue.markdown()"
    )


def test_the_type_of_a_problem_resolves_at_this_server(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        problem = (await door.http.get("/v1/nothing")).json()
        del door.http.headers["Authorization"]
        page = await door.http.get(problem["type"])
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert problem["title"] in page.text
        for code in catalogue():
            assert (await door.http.get(f"/errors/{code}")).status_code == 200
            assert f"/errors/{code}" in (await door.http.get("/errors")).text
        missing = await door.http.get("/errors/nonsense")
        assert (missing.status_code, missing.json()["code"]) == (404, "no_such_address")

    with_lone_door(run, scenario)
