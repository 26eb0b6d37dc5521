"""The demo does what it says, and says what it did."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.running_mesh import ohmesh


def test_the_demo_kills_a_worker_and_loses_nothing(tmp_path: Path) -> None:
    ran = ohmesh("demo", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["submitted"] == report["succeeded"] >= 300
    assert (report["lost"], report["committed_twice"]) == (0, 0)
    assert report["killed_workers"] >= 1
    assert report["killed"][-1]["held"] > 0, "the worker was killed while it held tasks"
    assert report["kinds"] == ["text"]
    assert "kill -9" in ran.stderr
