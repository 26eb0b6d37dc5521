"""The examples, with the very commands of their READMEs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.integration.running_mesh import Program, environment, ohmesh, running_mesh

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_two_commands_of_the_first_worker_do_what_its_readme_says(tmp_path: Path) -> None:
    readme = (EXAMPLES / "first_worker" / "README.md").read_text(encoding="utf-8")
    (tmp_path / "agents.py").write_text((EXAMPLES / "first_worker" / "agents.py").read_text(encoding="utf-8"))
    block = re.search(r"```\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    worker, submit = (shlex.split(line)[1:] for line in block.group(1).splitlines())
    with running_mesh(tmp_path) as mesh:
        mesh.up()
        program = Program(tmp_path, *worker, "--data", str(mesh.data))
        try:
            program.wait_ready()
            answer = ohmesh(*submit, "--data", str(mesh.data), cwd=tmp_path)
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout.strip() in readme
            fetched = ohmesh("submit", "fetch", "Ada", "--wait", "20", "--data", str(mesh.data), cwd=tmp_path)
            assert "hello, Ada" in fetched.stdout, fetched.stderr
        finally:
            program.end()


def test_a_users_tests_of_their_agents_pass_as_its_readme_says(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLES / "tested_agents", tmp_path / "tested_agents")
    block = re.search(r"```\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    command = shlex.split(block.group(1))
    assert command[0] == "python"
    ran = subprocess.run(
        [sys.executable, *command[1:]],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 passed" in ran.stdout
