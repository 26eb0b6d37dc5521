"""The verbs over HTTP, on real roles over the memory engine: arguments in, results out, refusals as problems."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.api.config import ApiConfig
from tests.unit.api.door_in_memory import Run, ServedDoor, with_door, with_lone_door


def test_a_task_that_is_not_awaited_is_202_with_its_address(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/v1/submit", json={"kind": "echo", "arguments": [1, "two"]})
        assert answer.status_code == 202
        task_id = answer.json()["task_id"]
        assert answer.headers["location"] == f"/v1/tasks/{task_id}"
        ended = await door.http.get(f"/v1/result/{task_id}")
        assert ended.json()["value"] == [[1, "two"], {}]
        task = await door.http.get(answer.headers["location"])
        assert (task.json()["task_id"], task.json()["state"]) == (task_id, "succeeded")

    with_door(run, scenario)


def test_a_task_that_is_awaited_is_200_with_its_end(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        done = await door.http.post("/v1/submit", json={"kind": "echo", "named": {"a": 1}, "wait_s": 20})
        assert (done.status_code, done.json()["value"]) == (200, [[], {"a": 1}])
        failed = await door.http.post("/v1/submit", json={"kind": "fail", "wait_s": 20})
        assert (failed.status_code, failed.json()["state"]) == (200, "failed")

    with_door(run, scenario)


def test_a_wait_in_vain_is_no_failure_of_the_submission(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/v1/submit", json={"kind": "never", "wait_s": 0.05})
        assert answer.status_code == 202
        task_id = answer.json()["task_id"]
        late = await door.http.get(f"/v1/result/{task_id}?wait_s=0.05")
        assert (late.status_code, late.json()["code"]) == (504, "result_timeout")
        assert late.json()["task_id"] == task_id
        assert late.json()["state"] == "running"
        cancelled = await door.http.post("/v1/tasks/cancel", json={"task_ids": [task_id]})
        assert cancelled.json()["cancelled"] == [task_id]

    with_door(run, scenario)


def test_a_wait_has_a_bound(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        refused = await door.http.post("/v1/submit", json={"kind": "never", "wait_s": 0.5})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_argument")
        assert "at most 0.1 s" in refused.json()["detail"]
        task_id = (await door.http.post("/v1/submit", json={"kind": "never"})).json()["task_id"]
        late = await door.http.get(f"/v1/result/{task_id}")
        assert late.status_code == 504, "the verb's own default is cut to the bound"

    with_door(run, scenario, ApiConfig(wait_max_s=0.1))


def test_pages_are_linked_until_the_last(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        ids = [
            (await door.http.post("/v1/submit", json={"kind": "echo", "wait_s": 20})).json()["task_id"]
            for _ in range(5)
        ]
        found: list[str] = []
        address = "/v1/tasks?limit=2&kind=echo"
        while address:
            page = await door.http.get(address)
            found += [task["task_id"] for task in page.json()["tasks"]]
            address = page.links["next"]["url"] if "next" in page.links else ""
            assert bool(address) == bool(page.json()["after"])
            assert not address or "kind=echo" in address
        assert sorted(found) == sorted(ids)

    with_door(run, scenario)


def test_ids_in_the_query_may_be_repeated_and_unknown_ones_are_named(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        task_id = (await door.http.post("/v1/submit", json={"kind": "echo", "wait_s": 20})).json()["task_id"]
        answer = await door.http.get("/v1/tasks/get", params={"task_ids": [task_id, "no-such-task"]})
        assert [task["task_id"] for task in answer.json()["tasks"]] == [task_id]
        assert answer.json()["unknown"] == ["no-such-task"]
        missing = await door.http.get("/v1/tasks/no-such-task")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_task")

    with_door(run, scenario)


def test_what_is_hard_to_take_back_wants_a_confirmation(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        await door.http.post("/v1/queues/pause", json={"kind": "echo"})
        await door.http.post("/v1/submit", json={"kind": "echo"})
        for confirm in ({}, {"confirm": False}, {"confirm": "yes"}):
            answer = await door.http.post("/v1/queues/purge", json={"kind": "echo", **confirm})
            assert (answer.status_code, answer.json()["code"]) == (422, "not_confirmed")
        answer = await door.http.post("/v1/queues/purge", json={"kind": "echo", "confirm": True})
        assert answer.json() == {"kind": "echo", "cancelled": 1}

    with_door(run, scenario)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"{", "body_refused", "not JSON"),
        (b"\xff\xfe", "body_refused", "not JSON"),
        (b"[]", "body_refused", "is a list"),
        (b"null", "body_refused", "is a null"),
        (b"[" * 20_000, "body_refused", "not JSON"),
        (b"", "invalid_argument", "kind"),
        (b"{}", "invalid_argument", "kind"),
        (b'{"kind": 3}', "invalid_argument", "kind: expected str"),
        (b'{"kind": "a", "retries": "3"}', "invalid_argument", "retries: expected int"),
        (b'{"kind": "a", "colour": "red"}', "invalid_argument", "colour"),
        (b'{"kind": "a", "confirm": true}', "invalid_argument", "confirm"),
        (b'{"kind": "a", "delay_s": 1e307}', "invalid_argument", "delay_s: expected float <="),
        (b'{"kind": "a b"}', "invalid_argument", "a b"),
        (b'{"kind": "a", "arguments": [1e400]}', "body_refused", "not JSON"),
        (
            b'{"kind": "a", "arguments": [123456789012345678901234567890]}',
            "invalid_argument",
            "cannot travel",
        ),
    ],
)
def test_a_body_that_cannot_be_used_says_why(run: Run, body: bytes, code: str, said: str) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.post("/v1/submit", content=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
        assert said in answer.json()["detail"]
        assert answer.headers["content-type"] == "application/problem+json"

    with_door(run, scenario)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/tasks?limit=0", "limit"),
        ("/v1/tasks?limit=1001", "limit"),
        ("/v1/tasks?limit=1&limit=2", "limit: given 2 times"),
        ("/v1/tasks?state=happy", "happy"),
        ("/v1/tasks?colour=red", "colour"),
        ("/v1/tasks?after=nonsense", "cursor"),
        ("/v1/tasks/get", "task_ids"),
        ("/v1/result/x?task_id=y", "stands in the path"),
        ("/v1/tasks/x?task_ids=y", "stands in the path"),
        (f"/v1/tasks/{'x' * 65}", "task_ids"),
        (f"/v1/tasks/get?{'task_ids=x&' * 501}", "given 501 times"),
    ],
)
def test_a_query_that_cannot_be_used_says_why(run: Run, path: str, said: str) -> None:
    async def scenario(door: ServedDoor) -> None:
        answer = await door.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument"), answer.text
        assert said in answer.json()["detail"]

    with_door(run, scenario)


def test_a_filter_that_cannot_be_read_shows_where(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        problem = (await door.http.get("/v1/tasks", params={"filter": "state=dead and"})).json()
        assert problem["code"] == "invalid_selector"
        assert "^" in problem["excerpt"]

    with_lone_door(run, scenario)


def test_an_address_takes_its_own_method_only(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for method, path, allowed in (("POST", "/v1/tasks", "GET"), ("GET", "/v1/submit", "POST")):
            answer = await door.http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (405, "method_refused")
            assert answer.headers["allow"] == allowed

    with_lone_door(run, scenario)


def test_a_value_that_json_has_no_word_for_is_told_as_text(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        assert door.mesh is not None
        from ohmesh.roles.client import TaskRequest
        from ohmesh.roles.client_payload import encode_arguments

        payload = encode_arguments([{1: b"ab", None: float("inf")}], {}, 1_000)
        handle = await door.mesh.submit(TaskRequest(kind="echo", payload=payload))
        await handle.end(20)
        answer = await door.http.get(f"/v1/result/{handle.id}")
        assert answer.json()["value"] == [[{"1": "YWI=", "None": None}], {}]

    with_door(run, scenario)


def test_requests_are_answered_side_by_side(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        bodies = [{"kind": "echo", "arguments": [number], "wait_s": 30} for number in range(50)]
        answers = await asyncio.gather(*(door.http.post("/v1/submit", json=body) for body in bodies))
        assert [answer.json()["value"][0][0] for answer in answers] == list(range(50))

    with_door(run, scenario)
