"""Who may ask, and how much: every refusal is a problem."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ohmesh.api.config import ApiConfig
from tests.unit.api.door_in_memory import BASE, KEY, Run, ServedDoor, with_door, with_lone_door


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", "Basic a-token-of-the-owner", "a-token-of-the-owner", "Bearer é"],
)
def test_without_the_token_nothing_is_told(run: Run, authorization: str) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {b"Authorization": authorization.encode()}
        for path in ("/v1/tasks", "/v1/nothing", "/workers", "/status/x"):
            answer = await door.http.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"

    with_lone_door(run, scenario)


def test_what_is_public_needs_no_token(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        del door.http.headers["Authorization"]
        for path in ("/livez", "/readyz", "/v1/docs", "/v1/openapi.json", "/errors", "/errors/usage"):
            assert (await door.http.get(path)).status_code == 200, path
        assert (await door.http.get("/")).headers["location"] == "/v1/docs"

    with_door(run, scenario)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:7400",
        "",
        "[",
        "10.0.0.1",
        "localhost/errors/",
        "localhost/livez?",
        "localhost/livez#",
        "user@localhost",
        "localhost:7400/errors/",
    ],
)
def test_a_foreign_host_is_refused_even_with_the_token(run: Run, host: str) -> None:
    async def scenario(door: ServedDoor) -> None:
        for path in ("/v1/tasks", "/livez"):
            answer = await door.http.get(path, headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (421, "host_refused")
            assert answer.json()["type"] == "/errors/host_refused", "a foreign name is not repeated as ours"

    with_lone_door(run, scenario)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:7400", "mesh.example:7400"]
)
def test_names_of_this_machine_and_those_allowed_are_served(run: Run, host: str) -> None:
    async def scenario(door: ServedDoor) -> None:
        assert (await door.http.get("/livez", headers={"Host": host})).status_code == 200

    with_lone_door(run, scenario, ApiConfig(allowed_hosts=("mesh.example",)))


def test_a_page_of_another_origin_is_refused_and_an_allowed_one_is_answered(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for origin in ("https://evil.example", "null", "http://127.0.0.1:3000"):
            answer = await door.http.get("/livez", headers={"Origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
        assert (await door.http.get("/livez", headers={"Origin": BASE})).status_code == 200
        answer = await door.http.get("/livez", headers={"Origin": "https://board.example"})
        assert answer.headers["access-control-allow-origin"] == "https://board.example"
        preflight = await door.http.options(
            "/v1/submit",
            headers={
                "Origin": "https://board.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, idempotency-key",
            },
        )
        assert preflight.status_code == 200

    with_lone_door(run, scenario, ApiConfig(allowed_origins=("https://board.example",)))


def test_a_key_may_ask_a_hundred_times_a_minute_and_hears_when_again(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        for left in range(99, -1, -1):
            answer = await door.http.get("/v1/nothing", headers=headers)
            assert answer.headers["ratelimit"] == f'"minute";r={left};t=60'
        assert answer.headers["ratelimit-policy"] == '"minute";q=100;w=60'
        door.now_s += 20.5
        refused = await door.http.get("/v1/nothing", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert (refused.headers["retry-after"], refused.headers["ratelimit"]) == ("40", '"minute";r=0;t=40')
        assert (await door.http.get("/v1/nothing")).status_code == 404, "the owner's token has its own count"
        door.now_s += 39.5
        assert (await door.http.get("/v1/nothing", headers=headers)).status_code == 404

    with_lone_door(run, scenario)


def test_a_key_that_was_taken_back_opens_nothing(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        assert (await door.http.get("/v1/nothing", headers=headers)).status_code == 404
        door.door.keyring.use_keys({})
        assert (await door.http.get("/v1/nothing", headers=headers)).status_code == 401

    with_lone_door(run, scenario)


def test_a_body_above_the_limit_is_refused_by_its_word_and_by_its_bytes(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * 100

        for path in ("/v1/submit", "/submit-task", "/enqueue"):
            for content in (b"x" * 2_000, pieces()):
                answer = await door.http.post(path, content=content)
                assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), path

    with_lone_door(run, scenario, ApiConfig(body_bytes=1_024))


def test_more_requests_at_once_than_there_is_room_for_are_told_to_wait(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        waiting = await door.http.post("/v1/submit", json={"kind": "never"})
        task_id = waiting.json()["task_id"]
        asked = [door.http.get(f"/v1/result/{task_id}?wait_s=0.5") for _ in range(3)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*asked))
        assert statuses == [429, 504, 504]

    with_door(run, scenario, ApiConfig(concurrent_requests=2))


def test_a_defect_is_a_problem_without_its_inside(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(door: ServedDoor) -> None:
        class Broken:
            @property
            def requests(self) -> object:
                raise ZeroDivisionError("secret inside")

        door.mesh = Broken()  # type: ignore[assignment]  # a defect in what lies below
        answer = await door.http.get("/v1/tasks")
        assert answer.status_code == 500
        assert answer.json()["code"] == "error"
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text

    with_lone_door(run, scenario)
    assert "ZeroDivisionError: secret inside" in caplog.text
    assert "a-token-of-the-owner" not in caplog.text


def test_while_the_mesh_is_away_the_answer_is_503_and_when_to_ask_again(run: Run) -> None:
    async def scenario(door: ServedDoor) -> None:
        for answer in (
            await door.http.get("/v1/tasks"),
            await door.http.post("/v1/submit", json={"kind": "echo"}),
            await door.http.get("/workers"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "mesh_unreachable")
            assert answer.json()["retryable"] is True
            assert int(answer.headers["retry-after"]) >= 1
        assert (await door.http.get("/livez")).status_code == 200
        ready = await door.http.get("/readyz?verbose")
        assert ready.status_code == 503
        assert json.loads(ready.text)["checks"]["mesh"] == "The mesh is away."

    with_lone_door(run, scenario)
