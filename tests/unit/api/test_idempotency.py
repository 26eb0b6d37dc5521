"""A request that is repeated with its Idempotency-Key is done once and answered alike."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from ohmesh.api.config import ApiConfig
from ohmesh.api.idempotency import Answers
from tests.unit.api.door_in_memory import KEY, Run, ServedDoor, served_door, with_door, with_lone_door
from tests.waiting import eventually

SUBMIT = {"kind": "echo", "arguments": ["once"]}


async def task_count(door: ServedDoor) -> int:
    return len((await door.http.get("/v1/tasks")).json()["tasks"])


def test_a_repeated_request_is_one_task_and_one_answer(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": '"order-17"'}
        first = await door.http.post("/v1/submit", json=SUBMIT, headers=headers)
        again = await door.http.post("/v1/submit", json=SUBMIT, headers={"Idempotency-Key": "order-17"})
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        assert await task_count(door) == 1

    with_door(run, scenario)


def test_the_key_reaches_the_mesh_and_outlives_the_door(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "order-18"}
        first = await door.http.post("/v1/submit", json=SUBMIT, headers=headers)
        async with served_door(mesh=door.mesh) as successor:
            again = await successor.http.post("/v1/submit", json=SUBMIT, headers=headers)
        assert "idempotent-replayed" not in again.headers
        assert again.json()["task_id"] == first.json()["task_id"]
        assert await task_count(door) == 1

    with_door(run, scenario)


def test_the_same_key_of_two_callers_is_two_tasks(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "1"}
        mine = await door.http.post("/v1/submit", json=SUBMIT, headers=headers)
        other = {**headers, "Authorization": f"Bearer {KEY}"}
        theirs = await door.http.post("/v1/submit", json=SUBMIT, headers=other)
        assert mine.json()["task_id"] != theirs.json()["task_id"]
        assert await task_count(door) == 2

    with_door(run, scenario)


def test_another_request_after_the_answers_are_gone_is_another_task(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "2"}
        first = await door.http.post("/v1/submit", json=SUBMIT, headers=headers)
        async with served_door(mesh=door.mesh) as successor:
            other = {**SUBMIT, "arguments": ["something else"]}
            second = await successor.http.post("/v1/submit", json=other, headers=headers)
        assert second.json()["task_id"] != first.json()["task_id"]

    with_door(run, scenario)


def test_a_key_with_another_request_is_refused(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "order-19"}
        await door.http.post("/v1/submit", json=SUBMIT, headers=headers)
        for path, body in (
            ("/v1/submit", {"kind": "echo", "arguments": ["twice"]}),
            ("/v1/queues/pause", {"kind": "echo"}),
        ):
            answer = await door.http.post(path, json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
        other = {**headers, "Authorization": f"Bearer {KEY}"}
        answer = await door.http.post("/v1/queues/pause", json={"kind": "echo"}, headers=other)
        assert answer.status_code == 200, "keys of one caller are not those of another"

    with_door(run, scenario)


def test_a_key_whose_request_is_under_way_is_refused_for_now(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "order-20"}
        body = {"kind": "never", "wait_s": 50}
        first = asyncio.ensure_future(door.http.post("/v1/submit", json=body, headers=headers))
        await eventually(lambda: len(door.door.answers), what="the first request is under way")
        answer = await door.http.post("/v1/submit", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "key_in_flight")
        assert int(answer.headers["retry-after"]) >= 1
        while not (running := (await door.http.get("/v1/tasks?kind=never")).json()["tasks"]):
            await asyncio.sleep(0)
        await door.http.post("/v1/tasks/cancel", json={"task_ids": [running[0]["task_id"]]})
        assert (await first).json()["state"] == "cancelled"

    with_door(run, scenario)


def test_a_refused_request_leaves_its_key_free(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Idempotency-Key": "order-21"}
        refused = await door.http.post("/v1/submit", json={"kind": "a b"}, headers=headers)
        assert refused.status_code == 400
        assert (await door.http.post("/v1/submit", json=SUBMIT, headers=headers)).status_code == 202

    with_door(run, scenario)


def test_a_door_may_want_a_key_with_everything_that_changes_something(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for path, body in (("/v1/submit", SUBMIT), ("/submit-task", {"type": "text", "data": "x"})):
            answer = await door.http.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "key_missing")
        answer = await door.http.get("/v1/tasks")
        assert answer.json()["code"] == "mesh_unreachable", "what reads needs none"
        long = await door.http.post("/v1/submit", json=SUBMIT, headers={"Idempotency-Key": "x" * 513})
        assert (long.status_code, long.json()["code"]) == (400, "invalid_argument")

    with_lone_door(run, scenario, ApiConfig(require_idempotency_key=True))


def test_what_is_kept_is_bounded_by_age_number_and_size(run: Run) -> None:
    now_s = 0.0

    async def scenario() -> None:
        nonlocal now_s
        config = ApiConfig(idempotency_keys=3, idempotency_bytes=100, idempotency_ttl_s=60)
        answers = Answers(config, lambda: now_s)
        done: list[str] = []

        async def ask(key: str, size_bytes: int = 10) -> None:
            async def produce() -> Response:
                done.append(key)
                return Response(b"x" * size_bytes)

            await answers.once("owner", key, b"request", produce)

        for key in "abcd":
            await ask(key)
        assert len(answers) == 3
        await ask("d")
        assert done == list("abcd"), "the youngest is remembered"
        await ask("a")
        assert done == list("abcda"), "the oldest was forgotten"
        await ask("large", 200)
        await ask("e")
        assert len(answers) == 1, "what is too large goes first of all with what is older"
        now_s = 61.0
        await ask("f")
        await ask("e")
        assert done[-2:] == ["f", "e"], "too old"

    run(scenario())
