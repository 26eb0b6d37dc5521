"""The endpoints of the older queue, as programs that know them use them."""

from __future__ import annotations

import base64
import struct

import pytest

from tests.unit.api.door_in_memory import Run, ServedDoor, with_door

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 40, 30) + b"\x08\x02\x00\x00\x00"


def test_a_task_is_handed_in_followed_and_read(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for path in ("/submit-task", "/submit"):
            answer = await door.http.post(path, json={"type": "echo", "data": "What a lovely day"})
            assert answer.status_code == 200
            task_id = answer.json()["task_id"]
            await door.http.get(f"/v1/result/{task_id}")
            result = [["What a lovely day"], {}]
            status = await door.http.get(f"/status/{task_id}")
            assert status.json() == {"task_id": task_id, "status": "done", "result": result}
            assert (await door.http.get(f"/result/{task_id}")).json() == {
                "task_id": task_id,
                "result": result,
            }

    with_door(run, scenario)


def test_what_has_not_ended_or_failed_says_so(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        runs = (await door.http.post("/v1/submit", json={"kind": "never", "wait_s": 0.1})).json()["task_id"]
        waits = (await door.http.post("/submit-task", json={"type": "text", "data": "x"})).json()["task_id"]
        for task_id, word in ((runs, "processing"), (waits, "pending")):
            expected = {"task_id": task_id, "status": word}
            assert (await door.http.get(f"/status/{task_id}")).json() == expected
            assert (await door.http.get(f"/result/{task_id}")).json() == expected
        failed = (await door.http.post("/submit-task", json={"type": "fail", "data": ""})).json()["task_id"]
        await door.http.get(f"/v1/result/{failed}")
        told = (await door.http.get(f"/result/{failed}")).json()
        assert told["status"] == "failed"
        assert told["error"]

    with_door(run, scenario)


def test_an_unknown_id_is_404(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for path in ("/status/no-such-task", "/result/no-such-task"):
            answer = await door.http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_task")

    with_door(run, scenario)


def test_workers_are_healthy_or_offline(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        (worker,) = (await door.http.get("/workers")).json()
        assert (worker["id"], worker["tasks_in_progress"], worker["status"]) == ("host-1", 0, "healthy")
        assert worker["last_seen"] > 1_500_000_000

    with_door(run, scenario)


def test_a_file_is_an_image_unless_the_form_says_otherwise(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        image = await door.http.post("/enqueue", files={"file": ("a.png", PNG)})
        assert image.status_code == 200, image.text
        task = await door.http.get(f"/v1/tasks/{image.json()['task_id']}")
        assert task.json()["kind"] == "image"
        text = await door.http.post("/enqueue", files={"file": b"hello"}, data={"task_type": "echo"})
        ended = await door.http.get(f"/v1/result/{text.json()['task_id']}")
        assert ended.json()["value"] == [[base64.b64encode(b"hello").decode()], {}]

    with_door(run, scenario)


def test_what_is_no_image_is_refused_with_the_reason(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/enqueue", files={"file": ("a.png", b"not a picture")})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
        assert "cannot be decoded" in answer.json()["detail"]
        answer = await door.http.post("/submit-task", json={"type": "image", "data": "not base64!"})
        assert answer.status_code == 400
        assert "base64" in answer.json()["detail"]
        assert (await door.http.get("/v1/tasks")).json()["total"] == 0

    with_door(run, scenario)


@pytest.mark.parametrize(
    ("content", "content_type", "said"),
    [
        (b"", "multipart/form-data; boundary=x", "no file"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", ""),
        (b"x", "multipart/form-data", "boundary"),
        (b"file=abc", "application/x-www-form-urlencoded", "no file"),
        (b"{}", "application/json", "no file"),
        (b"", "", "no file"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(
    run: Run, content: bytes, content_type: str, said: str
) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/enqueue", content=content, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (400, "body_refused"), answer.text
        assert said in answer.json()["detail"]

    with_door(run, scenario)


def test_a_type_that_nobody_ever_ran_is_refused(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/submit-task", json={"type": "tetx", "data": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_kind")
        assert "text" in answer.json()["hint"]

    with_door(run, scenario)


def test_a_repeated_submission_with_its_key_is_one_task(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "photo-1"}
        body = {"type": "echo", "data": "x"}
        ids = {
            (await door.http.post("/submit-task", json=body, headers=headers)).json()["task_id"]
            for _ in range(3)
        }
        assert len(ids) == 1
        assert (await door.http.get("/v1/tasks")).json()["total"] == 1

    with_door(run, scenario)
