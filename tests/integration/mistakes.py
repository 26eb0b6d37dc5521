"""The same mistake at three doors: what is done, by which code it is answered, and how each door is held to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from ohmesh import Mesh, OhmeshError
from ohmesh.cli.application import run as run_cli
from ohmesh.cli.exit_codes import exit_code_of
from tests.integration.doors import Never


@dataclass(frozen=True)
class Mistake:
    """What is done wrong, by which code it is answered, and a word that every answer holds. `cli`, `python` and `http`
    (method, path, JSON body) are the same mistake at three doors, or why it cannot be made there."""

    name: str
    error: type[OhmeshError]
    word: str
    cli: tuple[str, ...] | Never
    python: Callable[[Mesh], object] | Never
    http: tuple[str, str, dict[str, object] | None] | Never


def make_on_the_command_line(mistake: Mistake, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not isinstance(mistake.cli, Never)
    code = run_cli([*mistake.cli, "--data", data, "--json"])
    printed = capsys.readouterr()
    error = json.loads(printed.out)["error"]
    assert (error["code"], code) == (mistake.error.code, exit_code_of(mistake.error("")))
    assert mistake.word in f"{error['message']} {error['hint']}"
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err


def make_in_python(mistake: Mistake, client: Mesh) -> None:
    assert not isinstance(mistake.python, Never)
    with pytest.raises(mistake.error) as caught:
        mistake.python(client)
    assert mistake.word in str(caught.value)


def make_over_http(mistake: Mistake, http: httpx2.Client) -> None:
    assert not isinstance(mistake.http, Never)
    method, path, body = mistake.http
    answer = http.request(method, path, json=body)
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"]) == (mistake.error.http_status, mistake.error.code), problem
    assert mistake.word in f"{problem['detail']} {problem.get('hint', '')}"
    assert http.get(problem["type"]).status_code == 200, "the type leads to a page"
