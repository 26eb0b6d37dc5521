"""A mesh of a script's own: what a newcomer may forget does not start meshes without end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.running_mesh import COMMAND_S, environment

SCRIPT = """
from ohmesh import Mesh, agent

@agent
def twice(number: int) -> int:
    return 2 * number

with Mesh.local([twice]) as mesh:
    print(mesh.call("twice", 4))
"""


def test_a_script_without_a_main_guard_is_told_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ran = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment(), "TMPDIR": str(temporary)},
        timeout=COMMAND_S,
    )
    assert ran.returncode == 1, ran.stdout
    assert "if __name__ == '__main__':" in ran.stderr.splitlines()[-1]
    assert list(temporary.iterdir()) == []
