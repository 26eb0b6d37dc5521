"""The demo does what it says, and says what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.running_mesh import ohmesh

# As `sitecustomize` on its path, every Python runs it first.
WITHOUT_OPENCV = "import sys; sys.modules['cv2'] = None"


def test_the_demo_kills_a_worker_and_loses_nothing(tmp_path: Path) -> None:
    ran = ohmesh("demo", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["submitted"] == report["succeeded"] >= 300
    assert (report["lost"], report["committed_twice"]) == (0, 0)
    assert report["killed_workers"] >= 1
    assert report["killed"][-1]["held"] > 0, "the worker was killed while it held tasks"
    assert report["kinds"] == ["text", "image"]
    assert {one["name"]: one["faces"] for one in report["photographs"]} == {
        "astronaut.jpg": 1,
        "chelsea.jpg": 0,
        "coffee.jpg": 0,
    }
    assert "kill -9" in ran.stderr


def test_without_opencv_the_demo_is_about_text_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_OPENCV)
    monkeypatch.syspath_prepend(tmp_path)
    ran = ohmesh("demo", "--json", "--tasks", "100", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["kinds"], report["photographs"]) == (["text"], [])
    assert report["submitted"] == report["succeeded"] == 100
    assert "text only" in ran.stderr
    assert "pip install 'ohmesh[image]'" in ran.stderr
