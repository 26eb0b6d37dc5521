"""Which of the built-in kinds are at hand here."""

from __future__ import annotations

import sys

import pytest

from ohmesh.handlers.built_in import BUILT_IN, STARTED_WITH_A_MESH, kinds_at_hand
from ohmesh.handlers.loading import load_handlers


def test_every_built_in_kind_can_be_loaded_by_its_name() -> None:
    assert [one.spec.kind for one in load_handlers(list(BUILT_IN), {})] == list(BUILT_IN)


def test_a_mesh_starts_with_the_kinds_whose_library_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kinds_at_hand() == STARTED_WITH_A_MESH == ("text", "function", "image")
    monkeypatch.setitem(sys.modules, "cv2", None)  # what Python sees where it is not installed
    assert kinds_at_hand() == ("text", "function")
