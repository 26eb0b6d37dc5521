"""The verbs that watch and gather, typed at a mesh of real processes: map, events, agents, explain."""

from __future__ import annotations

import json
from pathlib import Path

from ohmesh.cli.exit_codes import ExitCode
from tests.integration.running_mesh import RunningMesh, running_mesh


def test_lines_are_mapped_and_watched_and_a_task_that_waits_is_explained(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.worker("--concurrency", "1")
        check_map(mesh)
        check_agents(mesh)
        check_events(mesh)
        check_explanation(mesh)


def check_map(mesh: RunningMesh) -> None:
    lines = mesh.folder / "lines.txt"
    lines.write_text("one\ntwo\nthree\n")
    mapped = mesh.run("map", "echo", "--input", str(lines))
    assert (mapped.returncode, mapped.stdout) == (ExitCode.OK, "one\ntwo\nthree\n"), mapped.stderr
    # A number is no text: its line stays empty, and the others are where they were.
    lines.write_text("one\n2\nthree\n")
    some = mesh.run("map", "echo", "--input", str(lines))
    assert (some.returncode, some.stdout) == (ExitCode.PARTIAL, "one\n\nthree\n"), some.stderr
    assert "Item 2:" in some.stderr
    document = json.loads(mesh.run("map", "echo", "four", "five", "--json").stdout)
    assert [one["value"] for one in document["outcomes"]] == ["four", "five"]


def check_agents(mesh: RunningMesh) -> None:
    listed = mesh.run("agents", "--filter", "kind=echo and state=active", "--json")
    (agent,) = json.loads(listed.stdout)["agents"]
    assert (agent["name"], agent["kind"]) == ("echo", "echo")
    assert mesh.run("agents", "--filter", "kind=nobody").returncode == ExitCode.NOTHING_MATCHED


def check_events(mesh: RunningMesh) -> None:
    told = mesh.run("events", "--after", "start", "--filter", "type=task.* and kind=echo", "--json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    ends = [one for one in events if one["type"] == "io.ohmesh.task.succeeded.v1"]
    assert len(ends) == 7, told.stderr
    rest = mesh.run("events", "--follow", "--after", ends[2]["cursor"], "--limit", "1", "--json")
    (following,) = [json.loads(line) for line in rest.stdout.splitlines()]
    assert following["id"] not in {one["id"] for one in events[: events.index(ends[2]) + 1]}
    refused = mesh.run("events", "--after", "yesterday")
    assert refused.returncode == ExitCode.USAGE
    assert "is not a cursor" in refused.stderr


def check_explanation(mesh: RunningMesh) -> None:
    task_id = mesh.run("submit", "ecko", "hello").stdout.strip()
    explained = mesh.run("explain", task_id)
    assert explained.returncode == ExitCode.OK, explained.stderr
    assert "no worker announces kind 'ecko'" in explained.stdout
    assert mesh.run("explain", "NEVERWAS").returncode == ExitCode.NOTHING_MATCHED
