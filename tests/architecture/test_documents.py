"""Pages say what is: a setting that a page or a message names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ohmesh.assembly.settings import ADAPTERS
from ohmesh.config import NOT_SETTINGS, SECTIONS, environment_name, settings_of
from tests.architecture.sources import PACKAGE, ROOT, listed, project_files

PAGES = [path for path in project_files() if path.suffix == ".md"]
CODE = [path for path in project_files() if path.suffix == ".py" and path.is_relative_to(PACKAGE)]
# `OHMESH_<SECTION>_<KEY>` and a name that goes on with `...` are patterns, `_OHMESH_COMPLETE` is click's.
NAME = re.compile(r"(?<![A-Z_])OHMESH_[A-Z][A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])")


def names_of(text: str) -> set[str]:
    return set(NAME.findall(text))


@pytest.mark.parametrize("files", [PAGES, CODE], ids=["pages", "code"])
def test_every_setting_that_is_named_exists(files: list[Path]) -> None:
    sections = {**SECTIONS, **ADAPTERS}
    known = {environment_name(key) for name, kind in sections.items() for key in settings_of(kind, name)}
    known |= NOT_SETTINGS
    strange = [
        f"{path.relative_to(ROOT)}: {name} is no setting"
        for path in files
        for name in sorted(names_of(path.read_text(encoding="utf-8")) - known)
    ]
    assert files
    assert not strange, listed(strange)


def test_a_wrong_name_is_found_in_a_page() -> None:
    assert names_of("`OHMESH_ENGINE_URL` and OHMESH_URL, `_OHMESH_COMPLETE`, OHMESH_<SECTION>") == {
        "OHMESH_ENGINE_URL",
        "OHMESH_URL",
    }
