"""The same mistakes about places at every door: a URL, a data directory, a port, a disk."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from ohmesh import Mesh, OhmeshError
from ohmesh import errors as tree
from ohmesh.cli.exit_codes import exit_code_of
from tests.integration.doors import Never, at_door
from tests.integration.running_mesh import RunningMesh, ohmesh, running_mesh
from tests.integration.small_disk import small_disk

NOBODY = "nats://127.0.0.1:1"
TEXT = "x" * 50_000
SUBMISSIONS_MAX = 200
PATIENCE_MS = 1_500  # of whoever submits; 30 s where nothing is said
TOLD_WITHIN_S = 60.0  # nobody waits for ever; a busy machine takes its time


@dataclass(frozen=True)
class Mistake:
    """`place` makes what is wrong and is told to each door. `cli`: commands, each of which is answered alike.
    `http`: the command of a door whose every answer is the problem."""

    name: str
    error: type[OhmeshError]
    word: str
    place: Callable[[Path], str]
    cli: tuple[tuple[str, ...], ...] | Never
    python: Callable[[str], Mesh] | Never
    http: tuple[str, ...] | Never


def said(place: str) -> Callable[[Path], str]:
    return lambda _folder: place


def unreadable(folder: Path) -> str:
    """Closed to us, or for root, whom no mode stops, a link to itself."""
    place = folder / "closed"
    if os.geteuid():
        place.mkdir(mode=0o000)
    else:
        place.symlink_to(place)
    return str(place)


def unspeakable(folder: Path) -> str:
    return str(folder / ("x" * 300))


# A dispatcher refuses what its log cannot take; where not even leases can be written, there is none that answers.
FULL: dict[str, type[OhmeshError]] = {
    tree.Backpressure.code: tree.Backpressure,
    tree.MeshUnreachable.code: tree.MeshUnreachable,
}
# The last word of each command is where the place belongs.
READING = (("status", "--data"), ("submit", "text", "x", "--data"), ("worker", "text", "--data"))
SERVING = (("up", "--workers", "0", "--data"), ("api", "--data"))
AT_URL = (("status", "--url"), ("submit", "text", "x", "--url"), ("worker", "text", "--url"))
API_AT_URL = ("api", "--token-file", "token", "--port", "0", "--url")
NO_ADDRESS = Never("a door with such an address does not open: that is `ohmesh api` at the command line")
NO_DIRECTORY = Never("a request names no directory, and a door without one does not open")

MISTAKES = (
    Mistake(
        "a URL where nobody listens",
        tree.EngineUnavailable,
        "127.0.0.1:1",
        said(NOBODY),
        AT_URL[:2],
        Mesh.connect,
        API_AT_URL,
    ),
    Mistake(
        "a URL that is none",
        tree.InvalidArgument,
        "nats://host:port",
        said("nonsense"),
        (*AT_URL, API_AT_URL),
        Mesh.connect,
        NO_ADDRESS,
    ),
    Mistake(
        "a URL of something else",
        tree.InvalidArgument,
        "nats://host:port",
        said("http://127.0.0.1:4222"),
        (*AT_URL, API_AT_URL),
        Mesh.connect,
        NO_ADDRESS,
    ),
    Mistake(
        "a URL with a port that is none",
        tree.InvalidArgument,
        "nats://host:port",
        said("nats://127.0.0.1:99999"),
        (*AT_URL, API_AT_URL),
        Mesh.connect,
        NO_ADDRESS,
    ),
    Mistake(
        "a data directory that cannot be read",
        tree.EngineFailed,
        "closed",
        unreadable,
        (*READING, *SERVING, ("down", "--data")),
        lambda data: Mesh.connect(data=data),
        NO_DIRECTORY,
    ),
    Mistake(
        "a data directory that cannot be made",
        tree.EngineFailed,
        "--data",
        unspeakable,
        (*READING, *SERVING, ("down", "--data")),
        lambda data: Mesh.local(data=data),
        NO_DIRECTORY,
    ),
)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "cli"))
def test_the_command_line_answers_a_wrong_place(tmp_path: Path, mistake: Mistake) -> None:
    assert not isinstance(mistake.cli, Never)
    place = mistake.place(tmp_path)
    for words in mistake.cli:
        _check_refused(tmp_path, (*words, place), mistake.error, mistake.word)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "python"))
def test_python_answers_a_wrong_place(tmp_path: Path, mistake: Mistake) -> None:
    assert not isinstance(mistake.python, Never)
    with pytest.raises(mistake.error) as caught:
        mistake.python(mistake.place(tmp_path)).status()
    assert mistake.word in str(caught.value)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "http"))
def test_http_answers_a_wrong_place(tmp_path: Path, mistake: Mistake) -> None:
    """The door opens, since its mesh may come; until then every answer says what it waits for."""
    assert not isinstance(mistake.http, Never)
    with running_mesh(tmp_path) as mesh:
        program = mesh.begin(*mistake.http, mistake.place(tmp_path))
        url = program.wait_ready()["name"]
        headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
        for answer in (
            httpx2.get(f"{url}/v1/status", headers=headers),
            httpx2.post(f"{url}/v1/submit", headers=headers, json={"kind": "text", "arguments": ["x"]}),
        ):
            _check_problem(answer, tree.MeshUnreachable)
            assert mistake.word in answer.json()["detail"]


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield str(taken.getsockname()[1])


# Python and HTTP are not here: `Mesh.local` takes a free port and lets nobody choose, and a request opens none.
@pytest.mark.parametrize(
    ("words", "error", "remedy"),
    [
        (("api", "--token-file", "token", "--url", NOBODY, "--port"), tree.InvalidArgument, "--port"),
        (("up", "--workers", "0", "--data", "data", "--port"), tree.EngineFailed, "--port"),
        (("up", "--workers", "0", "--data", "data", "--api", "--api-port"), tree.EngineFailed, "--api-port"),
    ],
    ids=["api", "up", "up-api"],
)
def test_a_port_that_is_taken_is_named_with_the_remedy(
    tmp_path: Path, words: tuple[str, ...], error: type[OhmeshError], remedy: str
) -> None:
    with taken_port() as port:
        answer = _check_refused(tmp_path, (*words, port), error, remedy)
    assert port in answer
    assert "already in use" in answer


def test_every_door_tells_of_a_full_disk_and_nothing_acknowledged_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OHMESH_CLIENT_ACCEPT_TIMEOUT_MS", str(PATIENCE_MS))
    with small_disk(tmp_path / "disk") as disk, running_mesh(tmp_path) as mesh:
        mesh.data = disk.root / "mesh"
        (mesh.folder / "ohmesh.toml").write_text(f"[client]\naccept_timeout_ms = {PATIENCE_MS}\n")
        up = mesh.up("--workers", "0", "--api")
        mesh.worker("--name", "mine")
        with _http(mesh, up.wait_ready()["api"]) as http:
            disk.fill(leave_bytes=2 << 20)
            acknowledged = []
            for _ in range(SUBMISSIONS_MAX):
                answer = http.post("/v1/submit", json={"kind": "echo", "arguments": [TEXT]})
                if answer.is_error:
                    break
                acknowledged.append(answer.json()["task_id"])
            _check_full(answer)
            _check_full(http.post("/v1/submit", json={"kind": "echo", "arguments": [TEXT]}))
            _check_full_in_python(mesh)
            ran = mesh.run("submit", "echo", TEXT, "--json")
            assert ran.returncode in {1, 6}, ran.stdout
            assert json.loads(ran.stdout)["error"]["code"] in FULL
            assert "ohmesh doctor" in ran.stderr
            disk.free()
            for task_id in acknowledged:
                ended = http.get(f"/v1/result/{task_id}", params={"wait_s": 20})
                assert ended.json()["value"] == TEXT, ended.text
            again = http.post("/v1/submit", json={"kind": "echo", "arguments": ["room"]})
            assert http.get(f"/v1/result/{again.json()['task_id']}").json()["value"] == "room"
        assert "Traceback" not in up.said


def _http(mesh: RunningMesh, url: str) -> httpx2.Client:
    token = (mesh.data / "api-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=url, headers=headers, timeout=TOLD_WITHIN_S)


def _check_full(answer: httpx2.Response) -> None:
    code = answer.json()["code"]
    assert code in FULL, answer.text
    _check_problem(answer, FULL[code])
    assert "ohmesh doctor" in answer.text
    assert answer.json()["retryable"]
    if code == tree.Backpressure.code:
        assert int(answer.headers["retry-after"]) >= 1


def _check_full_in_python(mesh: RunningMesh) -> None:
    with Mesh.connect(data=str(mesh.data)) as client:
        with pytest.raises(tuple(FULL.values())) as caught:
            client.submit("echo", TEXT)
        assert "ohmesh doctor" in str(caught.value)


def _check_problem(answer: httpx2.Response, error: type[OhmeshError]) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (error.http_status, error.code), answer.text


def _check_refused(folder: Path, words: tuple[str, ...], error: type[OhmeshError], word: str) -> str:
    """One line for people, one document for programs; returns the line."""
    ran = ohmesh(*words, "--json", cwd=folder)
    assert ran.returncode == exit_code_of(error("")), (words, ran.stderr)
    found = json.loads(ran.stdout)["error"]
    assert found["code"] == error.code, (words, found)
    assert word in f"{found['message']} {found['hint']}", words
    line = ran.stderr.strip().splitlines()[-1]
    assert line.startswith("error: "), ran.stderr
    assert "Traceback" not in ran.stderr
    assert "bug in ohmesh" not in ran.stderr
    return line
