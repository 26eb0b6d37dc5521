"""What the description promises, the door keeps: requests made from it, good and bad, are never answered by a 500, and
never by anything that the description does not name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.running_mesh import running_mesh

EXAMPLES = 3
PROMISES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address and token of a mesh with a fleet; no request waits."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "ohmesh.toml").write_text("[api]\nwait_max_s = 0\n[client]\nrequest_timeout_ms = 60000\n")
    with running_mesh(folder) as mesh:
        url = mesh.up("--api", "--agents", "300").wait_ready()["api"]
        yield url, (mesh.data / "api-token").read_text().strip()


def test_requests_made_from_the_description_are_answered_as_it_says(served: tuple[str, str]) -> None:
    url, token = served
    schema = from_dict(httpx2.get(f"{url}/v1/openapi.json").json())
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=EXAMPLES,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case[Any]) -> None:
                nonlocal asked
                case.call_and_validate(
                    url, headers={"Authorization": f"Bearer {token}"}, checks=PROMISES, timeout=60
                )
                asked += 1

            ask()
    assert asked > 2 * EXAMPLES
    status = httpx2.get(f"{url}/v1/status", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert status.status_code == 200, "the mesh has outlived them all"
