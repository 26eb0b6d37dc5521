"""Addresses follow from the registry by rule; the description says them all."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ohmesh.api.config import ApiConfig
from ohmesh.api.pages import curl_line
from ohmesh.api.routes import Address, addresses
from ohmesh.operations.command import Risk
from ohmesh.operations.commands import COMMANDS
from tests.unit.api.door_in_memory import Run, served_door

FOUND = addresses(COMMANDS)
every_address = pytest.mark.parametrize("address", FOUND, ids=lambda address: address.name)


def test_every_verb_has_an_address_and_no_two_share_one() -> None:
    assert {address.verb.name for address in FOUND} == {verb.name for verb in COMMANDS if not verb.local}
    assert len({(address.method, address.path) for address in FOUND}) == len(FOUND)
    assert len({address.name for address in FOUND}) == len(FOUND)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("submit", "POST /v1/submit"),
        ("tasks_list", "GET /v1/tasks"),
        ("tasks_get", "GET /v1/tasks/get"),
        ("tasks_get_one", "GET /v1/tasks/{task_id}"),
        ("tasks_cancel", "POST /v1/tasks/cancel"),
        ("queues_pause", "POST /v1/queues/pause"),
        ("dlq_get_one", "GET /v1/dlq/{task_id}"),
        ("result", "GET /v1/result/{task_id}"),
        ("workers", "GET /v1/workers"),
        ("status", "GET /v1/status"),
        ("fleet_status", "GET /v1/fleet"),
        ("fleet_agents", "GET /v1/fleet/agents"),
        ("ping", "POST /v1/ping"),
        ("ops_list", "GET /v1/operations"),
        ("ops_start", "POST /v1/operations"),
        ("ops_get_one", "GET /v1/operations/{operation_id}"),
        ("ops_wait", "GET /v1/operations/wait/{operation_id}"),
        ("schedules_get_one", "GET /v1/schedules/{name}"),
    ],
)
def test_an_address_is_the_words_of_its_verb(name: str, said: str) -> None:
    (address,) = [address for address in FOUND if address.name == name]
    assert f"{address.method} {address.path}" == said


@every_address
def test_what_reads_is_asked_by_get_and_what_changes_by_post(address: Address) -> None:
    assert (address.method == "GET") == (address.verb.risk is Risk.READ)


@every_address
def test_the_page_has_a_line_of_curl_for_every_address(address: Address) -> None:
    line = curl_line(address, "http://127.0.0.1:7400")
    assert address.path.partition("{")[0] in line
    assert ("--json" in line) == (address.method == "POST")
    assert ('"confirm": true' in line) == bool(address.verb.confirmation)


async def described() -> Any:
    async with served_door(config=ApiConfig(wait_max_s=7.0)) as door:
        return (await door.http.get("/v1/openapi.json")).json()


def test_the_description_is_openapi_3_1_and_names_every_address(run: Run) -> None:
    document = run(described())
    assert document["openapi"].startswith("3.1.")
    paths = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(address.method, address.path) for address in FOUND} <= paths
    assert ("POST", "/enqueue") in paths


def test_every_reference_in_the_description_leads_somewhere(run: Run) -> None:
    document = run(described())
    references = set(re.findall(r"'#/components/schemas/([^']+)'", str(document)))
    assert references <= set(document["components"]["schemas"])
    assert {"Submit", "TaskList", "Problem"} <= references


def test_the_description_has_the_bounds_of_this_door(run: Run) -> None:
    schemas = run(described())["components"]["schemas"]
    assert schemas["Submit"]["properties"]["wait_s"]["maximum"] == 7.0
    assert schemas["Submit"]["additionalProperties"] is False


def test_a_verb_that_asks_for_confirmation_wants_it_in_the_body(run: Run) -> None:
    purge = run(described())["paths"]["/v1/queues/purge"]["post"]
    body = purge["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["confirm"]["const"] is True
    assert "confirm" in body["required"]


def test_the_page_for_people_needs_no_network(run: Run) -> None:
    async def scenario() -> str:
        async with served_door() as door:
            return (await door.http.get("/v1/docs")).text

    page = run(scenario())
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=['\"](?:https?:)?//", page)
    for address in FOUND:
        assert f"{address.method} {address.path}" in page
