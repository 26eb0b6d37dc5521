"""Exit codes of real commands, on which scripts rely: each of docs/cli.md, met as a user meets it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nkeys
import pytest

from ohmesh.cli.exit_codes import ExitCode
from tests.integration.running_mesh import COMMAND_S, RunningMesh, environment, hear_interrupts, running_mesh

NO_TASK = "01M8CMP6MV90AH9HJ2C4006NQA"
DEEDS = """
import time
from ohmesh import agent

@agent(kind="deed", retries=0)
def deed(how: str) -> str:
    if how == "fail":
        raise ValueError("it cannot be done")
    while how == "never":
        time.sleep(60)
    return how
"""

# The commands that end with it; "{data}" is the mesh's directory, stranger.toml names a key of somebody else.
HERE = ("--data", "{data}")
COMMANDS: dict[ExitCode, tuple[tuple[str, ...], ...]] = {
    ExitCode.OK: (
        ("submit", "deed", "good", "--wait", "60", *HERE),
        ("map", "deed", "good", "good", *HERE),
        ("status", *HERE),
    ),
    ExitCode.FAILED: (
        ("submit", "deed", "fail", "--wait", "60", *HERE),
        ("map", "deed", "fail", "fail", *HERE),
        ("up", *HERE),
    ),
    ExitCode.USAGE: (
        ("submit", *HERE),
        ("submit", "no kind", *HERE),
        ("tasks", "--filter", "state =", *HERE),
        ("status", "--url", "nonsense"),
    ),
    ExitCode.PARTIAL: (
        ("map", "deed", "good", "fail", *HERE),
        ("submit", "nobody-runs-this", "--wait", "0.1", *HERE),
    ),
    ExitCode.NOTHING_MATCHED: (
        ("result", NO_TASK, *HERE),
        ("tasks", "get", NO_TASK, *HERE),
        ("tasks", "--filter", "kind=nothing", *HERE),
        ("down", "--data", "{data}-elsewhere"),
        ("schedules", "get", "nothing", *HERE),
        ("schedules", "remove", "nothing", *HERE),
        ("webhooks", "get", "wh_nothing", *HERE),
        ("webhooks", "remove", "wh_nothing", *HERE),
        ("locks", "release", "nothing", "--yes", *HERE),
        ("history", "events", "--kind", "tail_lost", *HERE),
    ),
    ExitCode.NOT_CONFIRMED: (("queues", "purge", "deed", "--no-input", *HERE),),
    ExitCode.UNREACHABLE: (
        ("status", "--data", "{data}-elsewhere"),
        ("submit", "deed", "good", "--url", "nats://127.0.0.1:1"),
    ),
    ExitCode.NOT_AUTHORISED: (("status", "--config", "stranger.toml"),),
}
CASES = [(code, words) for code, all_words in COMMANDS.items() for words in all_words]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("codes")) as mesh:
        (mesh.folder / "deeds.py").write_text(DEEDS)
        mesh.up("--workers", "0")
        mesh.begin("worker", "deeds", "--data", str(mesh.data)).wait_ready()
        seed = mesh.folder / "strange.seed"
        seed.write_bytes(bytes(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)))
        seed.chmod(0o600)
        url = f"nats://127.0.0.1:{(mesh.data / 'port').read_text().strip()}"
        (mesh.folder / "stranger.toml").write_text(f'[engine]\nurl = "{url}"\nseed_file = "{seed}"\n')
        yield mesh


def begun(mesh: RunningMesh, words: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ohmesh", *(word.format(data=mesh.data) for word in words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=mesh.folder,
        env=environment(),
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - one call, before anything else of the child runs
    )


def test_every_code_has_a_command_here_and_its_line_in_the_documentation() -> None:
    assert {*COMMANDS, ExitCode.INTERRUPTED} == set(ExitCode)
    table = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert all(f"\n| {code.value} | " in table for code in ExitCode)


@pytest.mark.parametrize(
    ("code", "words"), CASES, ids=[f"{code.value}-{'-'.join(words[:2])}" for code, words in CASES]
)
def test_a_command_ends_with_the_code_of_what_happened(
    mesh: RunningMesh, code: ExitCode, words: tuple[str, ...]
) -> None:
    printed, talk = (command := begun(mesh, words)).communicate(timeout=COMMAND_S)
    assert command.returncode == code, printed + talk
    assert "Traceback" not in talk
    if code not in {ExitCode.OK, ExitCode.PARTIAL}:
        assert printed or talk, "whoever reads it is told why"


def test_an_interrupted_command_ends_with_130(mesh: RunningMesh) -> None:
    with begun(mesh, ("submit", "deed", "never", "--wait", "60", "--data", "{data}")) as command:
        assert command.stderr is not None
        assert "is submitted" in command.stderr.readline()
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=COMMAND_S)
    assert command.returncode == ExitCode.INTERRUPTED
