"""The door for HTTP as programs use it: a real mesh, curl and httpx2; a kill, a mesh that is away, a port taken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx2
import numpy as np
import pytest

from tests.integration.running_mesh import RunningMesh, running_mesh
from tests.waiting import wait_until


def asking(mesh: RunningMesh, url: str) -> httpx2.Client:
    token = (mesh.data / "api-token").read_text().strip()
    return httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def curl(*arguments: str) -> str:
    ran = subprocess.run(
        ["curl", "--silent", "--show-error", *arguments], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def picture(folder: Path) -> Path:
    file = folder / "photo.png"
    assert cv2.imwrite(str(file), np.full((30, 40, 3), 90, dtype=np.uint8))
    return file


@contextlib.contextmanager
def served_mesh(folder: Path, *options: str) -> Iterator[tuple[RunningMesh, str]]:
    with running_mesh(folder) as mesh:
        yield mesh, mesh.up("--api", *options).wait_ready()["api"]


@pytest.mark.skipif(shutil.which("curl") is None and "CI" not in os.environ, reason="there is no curl here")
def test_a_session_with_curl(tmp_path: Path) -> None:
    with served_mesh(tmp_path) as (mesh, url):
        token = f"Authorization: Bearer {(mesh.data / 'api-token').read_text().strip()}"
        ask = ["-H", token]
        body = '{"type": "text", "data": "What a lovely day!"}'
        task_id = json.loads(
            curl(*ask, "-H", "Content-Type: application/json", "-d", body, f"{url}/submit-task")
        )["task_id"]
        ended = json.loads(curl(*ask, f"{url}/v1/result/{task_id}"))
        assert ended["value"]["label"] == "POSITIVE"
        assert json.loads(curl(*ask, f"{url}/status/{task_id}"))["status"] == "done"
        assert json.loads(curl(*ask, f"{url}/result/{task_id}"))["result"]["label"] == "POSITIVE"
        (worker,) = json.loads(curl(*ask, f"{url}/workers"))
        assert (worker["id"], worker["status"]) == ("worker-1", "healthy")

        mesh.begin("worker", "image", "--data", str(mesh.data), "--concurrency", "1").wait_ready()
        photo = json.loads(curl(*ask, "-F", f"file=@{picture(tmp_path)}", f"{url}/enqueue"))["task_id"]
        assert json.loads(curl(*ask, f"{url}/v1/result/{photo}"))["value"]["faces_detected"] == 0

        refused = curl("-i", f"{url}/workers")
        assert refused.startswith("HTTP/1.1 401")
        assert "application/problem+json" in refused
        assert curl("-i", *ask, "-H", "Host: evil.example", f"{url}/workers").startswith("HTTP/1.1 421")
        assert "What a lovely day" in curl(f"{url}/v1/docs")


def test_a_session_with_httpx2(tmp_path: Path) -> None:
    with served_mesh(tmp_path) as (mesh, url), asking(mesh, url) as http:
        key = {"Idempotency-Key": "order-17"}
        body = {"kind": "function", "arguments": ["ohmesh.handlers.samples:add", 20, 22]}
        taken = http.post("/v1/submit", json=body, headers=key)
        assert taken.status_code == 202
        assert http.post("/v1/submit", json=body, headers=key).json() == taken.json()
        task_id = taken.json()["task_id"]
        assert http.get(f"/v1/result/{task_id}").json()["value"] == 42
        assert http.get(taken.headers["location"]).json()["state"] == "succeeded"
        with http.stream("GET", f"/v1/tasks/{task_id}/events") as stream:
            names = [line for line in stream.iter_lines() if line.startswith("event: ")]
        assert names == ["event: task", "event: end"]
        assert [task["task_id"] for task in http.get("/v1/tasks").json()["tasks"]] == [task_id]
        assert [task["task_id"] for task in mesh.ask("tasks")["tasks"]] == [task_id], "one mesh, two doors"

        http.post("/v1/queues/pause", json={"kind": "text"})
        http.post("/v1/submit", json={"kind": "text", "arguments": ["later"]})
        assert http.post("/v1/queues/purge", json={"kind": "text"}).status_code == 422
        purged = http.post("/v1/queues/purge", json={"kind": "text", "confirm": True})
        assert purged.json() == {"kind": "text", "cancelled": 1}
        large = http.post("/v1/submit", json={"kind": "text", "arguments": ["x" * 2_000_000]})
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        wait_until(lambda: http.get("/readyz").json() == {"status": "ok"}, what="it says that it is ready")


def test_the_token_is_for_its_owner_only_and_never_said(tmp_path: Path) -> None:
    with served_mesh(tmp_path) as (mesh, url):
        file = mesh.data / "api-token"
        token = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(token) >= 32
        up = mesh.programs[0]
        wait_until(lambda: f"{url}/v1/docs   (token: {file}" in up.said, what="it says where the token is")
        with asking(mesh, url) as http:
            http.get("/v1/nothing", params={"a": "b"})
        up.end()
        assert token not in up.said


def test_a_door_that_is_killed_comes_back_where_it_was(tmp_path: Path) -> None:
    with served_mesh(tmp_path, "--workers", "0") as (mesh, url), asking(mesh, url) as http:
        taken = http.post("/v1/submit", json={"kind": "text", "arguments": ["kept"]}).json()
        door = mesh.programs[0].child("api")
        door.kill()
        door.wait(timeout=30)

        def is_back() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                return http.get("/readyz").status_code == 200
            return False

        wait_until(is_back, what=f"the door is back: {mesh.programs[0].said}", timeout_s=60)
        assert http.get(f"/v1/tasks/{taken['task_id']}").json()["state"] == "queued"


def test_a_port_that_is_taken_is_another_one_and_one_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running_mesh(tmp_path) as mesh:
        port = str(taken.getsockname()[1])
        refused = mesh.run("up", "--api", "--api-port", port, "--workers", "0")
        assert refused.returncode == 1
        assert f"port {port}" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_mesh_that_is_away_is_said_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "ohmesh.toml").write_text("[client]\nrequest_timeout_ms = 2000\n")
    with running_mesh(tmp_path) as mesh:
        up = mesh.up("--workers", "0")
        door = mesh.begin("api", "--data", str(mesh.data), "--port", "0")
        url = door.wait_ready()["name"]
        with asking(mesh, url) as http:
            assert http.get("/v1/queues").status_code == 200
            up.end()
            away = http.get("/v1/queues")
            assert (away.status_code, away.json()["code"]) == (503, "mesh_unreachable")
            assert away.headers["retry-after"]
            mesh.up("--workers", "0")
            wait_until(
                lambda: http.get("/v1/queues").status_code == 200, what="it serves again", timeout_s=60
            )
        door.interrupt()
        assert door.exit_code() == 0, door.said


def test_a_key_of_somebody_is_printed_once_and_opens_the_door(tmp_path: Path) -> None:
    with served_mesh(tmp_path, "--workers", "0") as (mesh, url):
        made = mesh.ask("api", "--new-key", "anna")
        assert made["key"] not in (mesh.data / "api-keys").read_text()
        ask = {"Authorization": f"Bearer {made['key']}"}
        wait_until(
            lambda: httpx2.get(f"{url}/v1/tasks", headers=ask).status_code == 200, what="the key counts"
        )
        answer = httpx2.get(f"{url}/v1/tasks", headers=ask)
        assert answer.headers["ratelimit-policy"] == '"minute";q=100;w=60'
        for name, said in (("anna", "has a key"), ("a b", "is no name")):
            refused = mesh.run("api", "--new-key", name)
            assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr


def test_where_there_is_no_mesh_there_is_no_token_and_nothing_is_open_to_others_unsaid(
    tmp_path: Path,
) -> None:
    with running_mesh(tmp_path) as mesh:
        for arguments, said in (([], "holds no mesh"), (["--host", "0.0.0.0"], "--allow-remote")):
            ran = mesh.run("api", *arguments)
            assert (ran.returncode, len(ran.stderr.strip().splitlines())) == (2, 1), ran.stderr
            assert said in ran.stderr
        assert not mesh.data.exists()
