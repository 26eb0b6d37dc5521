"""The same mistakes at every door: each is answered with the same code, in one clear message, and nothing is lost.

Mistakes in what a mesh is told; those in the place where it is looked for, or runs, are in test_bad_places.py."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from ohmesh import Mesh
from ohmesh import errors as tree
from tests.integration.doors import Never, at_door
from tests.integration.mistakes import Mistake, make_in_python, make_on_the_command_line, make_over_http
from tests.integration.running_mesh import RunningMesh, running_mesh

NO_TASK = "01M8CMP6MV90AH9HJ2C4006NQA"
PATIENCE_MS = 200  # with a fleet that is not there
BYTES = "x" * 600_000
DEEDS = """
import os, sys, time
from ohmesh import agent

@agent(kind="deed", retries=0, timeout=60)
def deed(how: str) -> object:
    if how == "object":
        return object()
    if how == "large":
        return "x" * 10_000_000
    if how == "print":
        print("to standard output")
        print("to standard error", file=sys.stderr)
    if how == "fork" and os.fork() == 0:
        os._exit(0)
    if how == "exit":
        sys.exit(3)
    if how == "die":
        os._exit(3)
    while how == "never":
        time.sleep(60)
    return how
"""


def submitting(kind: str, *arguments: object, **options: object) -> tuple[str, str, dict[str, object]]:
    return "POST", "/v1/submit", {"kind": kind, "arguments": list(arguments), **options}


MISTAKES = (
    Mistake(
        "a kind that is no name",
        tree.InvalidArgument,
        "../etc",
        ("submit", "../etc", "x"),
        lambda mesh: mesh.submit("../etc", "x"),
        submitting("../etc", "x"),
    ),
    Mistake(
        "no kind",
        tree.InvalidArgument,
        "",
        ("submit", "", "x"),
        lambda mesh: mesh.submit("", "x"),
        submitting("", "x"),
    ),
    Mistake(
        "a priority that is none",
        tree.InvalidArgument,
        "CRITICAL, HIGH, NORMAL or LOW",
        ("submit", "deed", "good", "--priority", "urgent"),
        lambda mesh: mesh.submit("deed", "good", priority="urgent"),
        submitting("deed", "good", priority="urgent"),
    ),
    Mistake(
        "a timeout of years",
        tree.InvalidArgument,
        "timeout",
        ("submit", "deed", "good", "--timeout", "1e99"),
        lambda mesh: mesh.submit("deed", "good", timeout=1e99),
        submitting("deed", "good", timeout_s=1e99),
    ),
    Mistake(
        "a negative timeout",
        tree.InvalidArgument,
        "timeout",
        ("submit", "deed", "good", "--timeout=-1"),
        lambda mesh: mesh.submit("deed", "good", timeout=-1),
        submitting("deed", "good", timeout_s=-1),
    ),
    Mistake(
        "retries that are a word",
        tree.UsageError,
        "many",
        ("submit", "deed", "good", "--retries", "many"),
        lambda mesh: mesh.submit("deed", "good", retries="many"),  # type: ignore[arg-type]
        Never("a field of the wrong type, which is in the table of what only HTTP can be told"),
    ),
    Mistake(
        "arguments above the limit",
        tree.PayloadTooLarge,
        "at most",
        Never("no system passes a word of that size to a command"),
        lambda mesh: mesh.submit("deed", BYTES),
        submitting("deed", BYTES),
    ),
    Mistake(
        "an argument that is no data",
        tree.InvalidArgument,
        "object",
        Never("what is typed is data"),
        lambda mesh: mesh.submit("deed", object()),
        Never("JSON is data"),
    ),
    Mistake(
        "a picture that is none",
        tree.InvalidArgument,
        "cannot be decoded",
        ("submit", "image", "not a picture"),
        lambda mesh: mesh.submit("image", "not a picture"),
        submitting("image", "not a picture"),
    ),
    Mistake(
        "an id that nobody has",
        tree.UnknownTask,
        NO_TASK,
        ("result", NO_TASK),
        lambda mesh: mesh.result(NO_TASK, 20),
        ("GET", f"/v1/result/{NO_TASK}", None),
    ),
    Mistake(
        "an id that is none",
        tree.UnknownTask,
        "nonsense",
        ("result", "nonsense"),
        lambda mesh: mesh.result("nonsense", 20),
        ("GET", "/v1/result/nonsense", None),
    ),
    Mistake(
        "a filter that ends early",
        tree.InvalidSelector,
        "found the end",
        ("tasks", "--filter", "state ="),
        lambda mesh: mesh.tasks(filter="state ="),
        ("GET", "/v1/tasks?filter=state+%3D", None),
    ),
    Mistake(
        "a filter of no such field",
        tree.InvalidSelector,
        "colour",
        ("tasks", "--filter", "colour=red"),
        lambda mesh: mesh.tasks(filter="colour=red"),
        ("GET", "/v1/tasks?filter=colour%3Dred", None),
    ),
    Mistake(
        "a state that is none",
        tree.InvalidArgument,
        "lost",
        ("tasks", "--state", "lost"),
        lambda mesh: mesh.tasks(state="lost"),
        ("GET", "/v1/tasks?state=lost", None),
    ),
    Mistake(
        "a cursor that is none",
        tree.InvalidArgument,
        "zzz",
        ("tasks", "--after", "zzz"),
        lambda mesh: mesh.tasks(after="zzz"),
        ("GET", "/v1/tasks?after=zzz", None),
    ),
    Mistake(
        "a pause of what is no kind",
        tree.InvalidArgument,
        "a b",
        ("queues", "pause", "a b"),
        lambda mesh: mesh.pause("a b"),
        ("POST", "/v1/queues/pause", {"kind": "a b"}),
    ),
    Mistake(
        "a purge of what is no kind",
        tree.InvalidArgument,
        "a b",
        ("queues", "purge", "a b", "--yes"),
        lambda mesh: mesh.purge("a b"),
        ("POST", "/v1/queues/purge", {"kind": "a b", "confirm": True}),
    ),
    Mistake(
        "a fleet where there is none",
        tree.MeshUnreachable,
        "ohmesh up --agents",
        ("ping",),
        lambda mesh: mesh.ping(),
        ("POST", "/v1/ping", {}),
    ),
    Mistake(
        "dead letters, but which",
        tree.InvalidArgument,
        "not clear which",
        ("dlq", "replay"),
        lambda mesh: mesh.replay(),
        ("POST", "/v1/dlq/replay", {}),
    ),
)

# What a handler does, how its task ends, and what the failure says.
DEEDS_AND_ENDS = {
    "print": ("succeeded", ""),
    "fork": ("succeeded", ""),
    "object": ("failed", "ResultRefused"),
    "large": ("failed", "ResultRefused"),
    "exit": ("dead", "SystemExit"),
    "die": ("dead", "exit code 3"),
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("mistakes")) as mesh, pytest.MonkeyPatch().context() as patch:
        patch.setenv("OHMESH_CLIENT_FLEET_PATIENCE_MS", str(PATIENCE_MS))
        (mesh.folder / "ohmesh.toml").write_text(f"[client]\nfleet_patience_ms = {PATIENCE_MS}\n")
        (mesh.folder / "deeds.py").write_text(DEEDS)
        mesh.up("--workers", "0", "--api")
        mesh.begin("worker", "deeds", "--data", str(mesh.data)).wait_ready()
        yield mesh


@pytest.fixture(scope="module")
def client(mesh: RunningMesh) -> Iterator[Mesh]:
    with Mesh.connect(data=str(mesh.data)) as client:
        yield client


@pytest.fixture(scope="module")
def http(mesh: RunningMesh) -> Iterator[httpx2.Client]:
    token = (mesh.data / "api-token").read_text().strip()
    with httpx2.Client(
        base_url=mesh.programs[0].wait_ready()["api"],
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    ) as client:
        yield client


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "cli"))
def test_the_command_line_answers_a_mistake(
    mesh: RunningMesh, mistake: Mistake, capsys: pytest.CaptureFixture[str]
) -> None:
    make_on_the_command_line(mistake, str(mesh.data), capsys)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "python"))
def test_python_answers_a_mistake(client: Mesh, mistake: Mistake) -> None:
    make_in_python(mistake, client)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "http"))
def test_http_answers_a_mistake(http: httpx2.Client, mistake: Mistake) -> None:
    make_over_http(mistake, http)


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Authorization": "Bearer wrong"}, b"{}", 401, "token_refused"),
        ({"Host": "evil.example"}, b"{}", 421, "host_refused"),
        ({"Origin": "https://evil.example"}, b"{}", 403, "origin_refused"),
        ({}, b'{"kind": ', 400, "body_refused"),
        ({}, b'["a list"]', 400, "body_refused"),
        ({}, b'{"kind": "deed", "colour": "red"}', 400, "invalid_argument"),
        ({}, b'{"kind": 5}', 400, "invalid_argument"),
        ({}, b'{"kind": "' + b"x" * 20_000_000 + b'"}', 413, "body_too_large"),
    ],
    ids=["token", "host", "origin", "cut-JSON", "no-object", "no-such-field", "wrong-type", "huge"],
)
def test_http_refuses_what_no_other_door_can_be_told(
    http: httpx2.Client, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = http.post("/v1/submit", content=body, headers={"Content-Type": "application/json", **headers})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize("how", DEEDS_AND_ENDS)
def test_whatever_a_handler_does_its_task_has_one_end(mesh: RunningMesh, client: Mesh, how: str) -> None:
    state, words = DEEDS_AND_ENDS[how]
    handle = client.submit("deed", how)
    if state == "succeeded":
        assert handle.result(60) == how
    else:
        with pytest.raises(tree.TaskFailed, match=words):
            handle.result(60)
    assert client.get(handle.id).state == state
    assert client.call("deed", "good") == "good", "the worker goes on"


def test_a_handler_that_never_returns_is_ended_at_its_timeout(client: Mesh) -> None:
    handle = client.submit("deed", "never", timeout=1)
    with pytest.raises(tree.TaskTimedOut, match="1000 ms"):
        handle.result(60)
    assert client.call("deed", "good") == "good", "the worker goes on"


def test_no_mistake_became_a_task(mesh: RunningMesh, client: Mesh) -> None:
    """Every task that there is was handed in on purpose, and each has ended or does not concern us."""
    kinds = {task.kind for task in client.tasks(limit=1_000)}
    assert kinds <= {"deed"}
    assert client.call("deed", "good") == "good"
