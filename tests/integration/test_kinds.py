"""The built-in kinds that are extras, as people start and use them; tags of complexity as people see them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from ohmesh import InvalidArgument, Mesh, TaskFailed
from tests.integration.running_mesh import RunningMesh, running_mesh
from tests.waiting import wait_until


class Greeting(BaseHTTPRequestHandler):
    """Unavailable at first, then polite."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if self.asked == 1 else 200)
        self.send_header("retry-after", "0")
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"good day")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Tests are quiet."""


@pytest.fixture
def greeter() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Greeting)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def picture(width: int, height: int) -> bytes:
    written, data = cv2.imencode(".png", np.full((height, width, 3), 90, dtype=np.uint8))
    assert written
    return data.tobytes()


def test_a_worker_sees_pictures_and_calls_the_hosts_it_was_allowed(tmp_path: Path, greeter: str) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        worker = ["worker", "image", "http", "--allow-host", "127.0.0.1", "--data", str(mesh.data)]
        mesh.begin(*worker, "--concurrency", "1").wait_ready()
        check_shell(mesh)
        check_tags(mesh)
        with Mesh.connect(data=str(mesh.data)) as python:
            check_pictures(python)
            answer = python.call("http", greeter)
            assert isinstance(answer, dict)
            assert (answer["status"], answer["body"]) == (200, "good day")
            with pytest.raises(TaskFailed, match=r"may not be reached from here; allowed are: 127\.0\.0\.1"):
                python.call("http", greeter.replace("127.0.0.1", "localhost"))


def check_shell(mesh: RunningMesh) -> None:
    text = base64.b64encode(picture(40, 30)).decode()
    done = mesh.ask("submit", "image", text, "size", "--wait", "30")
    assert done["value"] == {"width": 40, "height": 30}
    refused = mesh.run("submit", "image", "not-a-picture", "--wait", "30")
    assert refused.returncode == 2, refused.stderr
    assert "cannot be decoded" in refused.stderr


def check_tags(mesh: RunningMesh) -> None:
    """As `tasks list` shows them, for people and for programs; nobody does these two."""
    tags = {}
    for words in (200, 201):
        task_id = mesh.ask("submit", "text", " ".join(["word"] * words))["task_id"]
        (row,) = [line for line in mesh.run("tasks", "list").stdout.splitlines() if task_id in line]
        (tags[words],) = {"small", "large"} & set(row.split())
        (task,) = [one for one in mesh.ask("tasks", "list")["tasks"] if one["task_id"] == task_id]
        assert task["complexity"] == tags[words]
    assert tags == {200: "small", 201: "large"}


def check_pictures(python: Mesh) -> None:
    small, large = python.submit("image", picture(1000, 20)), python.submit("image", picture(1001, 20))
    assert small.result(30) == large.result(30) == {"faces_detected": 0, "faces": []}
    assert [python.get(one.id).complexity for one in (small, large)] == ["small", "large"]
    copy = python.call("image", picture(1001, 20), "resize", width=10, encoding="jpeg")
    assert isinstance(copy, bytes)
    assert copy.startswith(b"\xff\xd8")
    with pytest.raises(InvalidArgument, match="begins with b'no pictu'"):
        python.submit("image", b"no picture")
    with pytest.raises(TaskFailed, match="damaged or incomplete"):
        python.call("image", picture(40, 30)[:45])


def test_settings_say_what_the_workers_of_up_may_reach(tmp_path: Path) -> None:
    (tmp_path / "ohmesh.toml").write_text('[handlers]\nallow_modules = ["math"]\n')
    with running_mesh(tmp_path) as mesh:
        up = mesh.up()
        wait_until(
            lambda: "1 worker (kinds: text, function, image)" in up.said, what="it says what its worker runs"
        )
        assert mesh.ask("submit", "function", "math:sqrt", "9", "--wait", "30")["value"] == 3
        refused = mesh.run("submit", "function", "os:getcwd", "--wait", "30")
        assert "is not allowed here" in refused.stderr
