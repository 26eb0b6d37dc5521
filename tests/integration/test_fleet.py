"""A fleet as people have it: `ohmesh up --agents 3000`, asked at every door, with what each door says of mistakes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from ohmesh import Mesh
from ohmesh import errors as tree
from ohmesh.cli.application import run as run_cli
from ohmesh.cli.exit_codes import ExitCode
from tests.integration.doors import Never, at_door
from tests.integration.mistakes import Mistake, make_in_python, make_on_the_command_line, make_over_http
from tests.integration.running_mesh import RunningMesh, running_mesh
from tests.waiting import wait_until

AGENTS = 3_000
NOWHERE = "01M8CMP6MV90AH9HJ2C4006NQA"


MISTAKES = (
    Mistake(
        "a selector of no such field",
        tree.InvalidSelector,
        "sektor",
        ("ping", "-S", "sektor=7"),
        lambda mesh: mesh.ping(filter="sektor=7"),
        ("POST", "/v1/ping", {"filter": "sektor=7"}),
    ),
    Mistake(
        "an operation that nobody began",
        tree.UnknownOperation,
        NOWHERE,
        ("ops", "get", NOWHERE),
        lambda mesh: mesh.operation(NOWHERE),
        ("GET", f"/v1/operations/{NOWHERE}", None),
    ),
    Mistake(
        "waiting for an operation that nobody began",
        tree.UnknownOperation,
        NOWHERE,
        ("ops", "wait", NOWHERE),
        lambda mesh: mesh.wait_operation(NOWHERE),
        ("GET", f"/v1/operations/wait/{NOWHERE}", None),
    ),
    Mistake(
        "a quorum of nobody",
        tree.InvalidArgument,
        "quorum",
        ("ping", "--quorum", "0"),
        lambda mesh: mesh.ping(quorum=0.0),
        ("POST", "/v1/ping", {"quorum": 0}),
    ),
    Mistake(
        "a window of no time",
        tree.InvalidArgument,
        "window",
        ("broadcast", "x", "--window", "0ms"),
        lambda mesh: mesh.broadcast("x", window=0.0),
        ("POST", "/v1/broadcast", {"message": "x", "window": "0ms"}),
    ),
    Mistake(
        "a window without a unit",
        tree.InvalidArgument,
        "duration",
        ("broadcast", "x", "--window", "500"),
        lambda mesh: mesh.broadcast("x", window="500"),
        ("POST", "/v1/broadcast", {"message": "x", "window": "500"}),
    ),
    Mistake(
        "a strategy that is none",
        tree.InvalidArgument,
        "zigzag",
        ("cascade", "x", "--strategy", "zigzag"),
        lambda mesh: mesh.cascade("x", strategy="zigzag"),
        ("POST", "/v1/cascade", {"message": "x", "strategy": "zigzag"}),
    ),
    Mistake(
        "an operation of no such name",
        tree.InvalidArgument,
        "sing",
        ("ops", "start", "sing"),
        lambda mesh: mesh.start_operation("sing"),
        ("POST", "/v1/operations", {"what": "sing"}),
    ),
    Mistake(
        "a message of nothing",
        tree.InvalidArgument,
        "",
        ("broadcast", ""),
        lambda mesh: mesh.broadcast(""),
        ("POST", "/v1/broadcast", {"message": ""}),
    ),
    Mistake(
        "a wait that is too long for HTTP",
        tree.InvalidArgument,
        "detach",
        Never("a command waits as long as it is told to"),
        Never("a program waits as long as it is told to"),
        ("POST", "/v1/ping", {"timeout": "1h"}),
    ),
)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("fleet")) as mesh:
        mesh.up("--workers", "0", "--nodes", "1", "--agents", str(AGENTS), "--api")
        with Mesh.connect(data=str(mesh.data)) as client:
            wait_until(lambda: client.fleet().active == AGENTS, what="every agent on duty", timeout_s=60)
        yield mesh


@pytest.fixture(scope="module")
def client(mesh: RunningMesh) -> Iterator[Mesh]:
    with Mesh.connect(data=str(mesh.data)) as client:
        yield client


@pytest.fixture(scope="module")
def http(mesh: RunningMesh) -> Iterator[httpx2.Client]:
    token = (mesh.data / "api-token").read_text().strip()
    address = mesh.programs[0].wait_ready()["api"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def command(mesh: RunningMesh, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = run_cli([*words, "--data", str(mesh.data)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_up_says_how_many_there_are_and_that_they_are_simulated(mesh: RunningMesh) -> None:
    said = mesh.programs[0].said
    assert "3,000 simulated agents in 10 sectors, " in said
    assert " processes, ready in " in said
    assert "ohmesh ping --graph" in said


def test_the_command_line_shows_the_fleet(command: Run) -> None:
    code, out, _ = command("fleet")
    assert code == 0
    assert "3,000 of 3,000 agents active (100.0%), all SIMULATED, mode FULL" in out
    code, out, talk = command("fleet", "agents", "-S", "class=gpu", "--limit", "3")
    assert (code, out.count("D GPU")) == (0, 3)
    assert "showing 3 of 200 agents" in talk
    sectors = json.loads(command("fleet", "sectors", "--json")[1])["scopes"]
    assert [(one["agents"], one["active"]) for one in sectors] == [(300, 300)] * 10
    assert len(command("fleet", "clusters", "--sector", "2")[1].splitlines()) == 11
    assert "fleet: 3,000 of 3,000 agents active" in command("status")[1]
    assert "all SIMULATED" in command("doctor")[1]


def test_a_ping_reaches_everybody_and_is_drawn(command: Run) -> None:
    code, out, _ = command("ping", "--graph", "--timeout", "20s")
    assert code == 0
    assert "3,000 of 3,000 ready, simulated agents" in out
    assert "from its start\n" in out
    code, out, _ = command("ping", "--sample", "3", "--timeout", "20s")
    assert (code, len([line for line in out.splitlines() if line.startswith("s0")])) == (0, 3)


def test_a_question_is_answered_in_groups(command: Run) -> None:
    code, out, _ = command("ask", "which class?", "--timeout", "20s", "--json")
    view = json.loads(out)
    assert (code, view["targets"], sum(count for _, count in view["answers"])) == (0, 100, 100)
    assert {"edge", "serverless"} <= {answer for answer, _ in view["answers"]}


def test_in_part_is_3_and_every_silent_one_is_named(command: Run, client: Mesh) -> None:
    """People take a minute for what the others do at once."""
    code, out, talk = command(
        "broadcast", "x", "--ack", "--sample", "300", "--quorum", "1", "--timeout", "3s"
    )
    assert code == ExitCode.PARTIAL
    assert "PARTIAL" in out
    assert "silent: s0" in talk
    operation = out.split()[1].rstrip(":")
    code, out, _ = command("ops", "get", operation, "--agents", "--json")
    record = json.loads(out)
    assert code == 0
    states = dict(zip(record["agents"], record["states"], strict=True))
    silent = {agent for agent, state in states.items() if state == "transit"}
    assert len(states) == 300
    assert silent == set(record["stragglers"])
    people = {agent.agent for agent in client.fleet_agents(filter="class=human", limit=1_000)}
    assert silent <= people, "nobody else takes three seconds"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ping", "-S", "sector=99"), ExitCode.NOTHING_MATCHED),
        (("fleet", "agents", "-S", "sector=99"), ExitCode.NOTHING_MATCHED),
        (("fleet", "best", "gpu", "--limit", "5"), ExitCode.OK),
        (("fleet", "best", "juggling"), ExitCode.NOTHING_MATCHED),
        (
            ("broadcast", "x", "-S", "class=human", "--ack", "--timeout", "300ms", "--expect", "150"),
            ExitCode.FAILED,
        ),
        (("broadcast", "x", "-S", "class=human", "--timeout", "20s"), ExitCode.OK),
        (("ping", "--expect", "10", "--timeout", "20s"), ExitCode.OK),
        (("ping", "-S", "sektor=7"), ExitCode.USAGE),
        (("runbook", "sector", "nowhere"), ExitCode.USAGE),
        (("runbook", "sector", "s001"), ExitCode.OK),
        (("runbook", "daily"), ExitCode.PARTIAL),
        (("fleet", "clusters", "--sector", "99"), ExitCode.NOTHING_MATCHED),
        (("fleet", "trend", "s099"), ExitCode.NOTHING_MATCHED),
        (("fleet", "trend", "s100"), ExitCode.USAGE),
        (("freeze", "all", "--no-input"), ExitCode.NOT_CONFIRMED),
        (("cascade", "x", "--strategy", "parallel", "--window", "900ms"), ExitCode.OK),
    ],
)
def test_the_exit_code_says_how_it_ended(command: Run, words: tuple[str, ...], code: ExitCode) -> None:
    found, out, talk = command(*words)
    assert found == code, out + talk


def test_one_selector_means_the_same_agents_in_every_verb_and_at_every_door(
    command: Run, client: Mesh, http: httpx2.Client
) -> None:
    where = "class=gpu and sector in (3,7) and impedance>1ms and not state=quarantined"
    named = {one.agent for one in client.fleet_agents(filter=where, limit=1_000)}
    assert 10 < len(named) < 60
    listed = json.loads(command("fleet", "agents", "-S", where, "--limit", "1000", "--json")[1])
    assert {one["agent"] for one in listed["agents"]} == named
    over_http = http.get("/v1/fleet/agents", params={"filter": where, "limit": 1_000}).json()
    assert {one["agent"] for one in over_http["agents"]} == named
    assert {one.agent for one in client.fleet_best(filter=where)} == named
    wishes: dict[str, dict[str, object]] = {
        "ping": {},
        "broadcast": {"message": "x"},
        "ask": {"question": "which class?", "sample_size": 0},
        "cascade": {"message": "x"},
    }
    for verb, given in wishes.items():
        begun = http.post(f"/v1/{verb}", json={**given, "filter": where, "detach": True}).json()
        assert "id" in begun, begun
        code, out, _ = command("ops", "get", begun["id"], "--agents", "--json")
        assert (code, set(json.loads(out)["agents"])) == (0, named), verb
        assert client.operation(begun["id"]).where == where


def test_what_is_detached_is_followed_by_its_id(command: Run) -> None:
    code, out, _ = command("cascade", "x", "--detach")
    assert code == 0
    operation = out.strip()
    code, out, _ = command("ops", "wait", operation, "--wait", "30", "--json")
    assert json.loads(out)["id"] == operation
    assert [stage["name"] for stage in json.loads(out)["stages"]] == ["sectors", "clusters", "agents"]
    assert operation in command("ops")[1]


def test_over_http_an_operation_is_begun_and_found_again(http: httpx2.Client) -> None:
    wish = {"what": "broadcast", "message": "hello", "filter": "sector=7"}
    headers = {"Idempotency-Key": "greeting-of-sector-7"}
    begun = http.post("/v1/operations", json=wish, headers=headers)
    assert begun.status_code == 202, begun.text
    place = begun.headers["location"]
    assert place == f"/v1/operations/{begun.json()['id']}"

    def decided() -> dict[str, Any]:
        shown: dict[str, Any] = http.get(place).json()
        return shown if shown["outcome"] else {}

    wait_until(lambda: bool(decided()), what="its decision", timeout_s=30)
    shown = http.get(place, params={"agents": "true"}).json()
    assert len(shown["agents"]) == len(shown["states"]) == 300
    again = http.post("/v1/operations", json=wish, headers=headers)
    assert again.json()["id"] == shown["id"]
    assert shown["id"] in {
        one["id"] for one in http.get("/v1/operations", params={"limit": 50}).json()["operations"]
    }


def test_over_http_a_wait_is_answered_with_the_view(http: httpx2.Client) -> None:
    waited = http.post("/v1/operations", json={"what": "ping", "filter": "sector=3", "wait_s": 30})
    assert (waited.status_code, waited.json()["outcome"], waited.json()["targets"]) == (200, "SUCCEEDED", 300)
    pinged = http.post("/v1/ping", json={"filter": "sector=3", "timeout": "20s"})
    assert (pinged.status_code, pinged.json()["ready"]) == (200, 300)
    detached = http.post("/v1/ask", json={"question": "which class?", "detach": True})
    assert (detached.status_code, detached.json()["what"]) == (202, "ask")


def test_over_http_the_fleet_is_listed_by_pages(http: httpx2.Client) -> None:
    assert http.get("/v1/fleet").json()["simulated"] == AGENTS
    first = http.get("/v1/fleet/agents", params={"filter": "class=human", "limit": 150})
    agents = first.json()["agents"]
    following = http.get(first.links["next"]["url"]).json()["agents"]
    assert len({one["agent"] for one in [*agents, *following]}) == first.json()["total"] == 199
    assert len(http.get("/v1/fleet/sectors").json()["scopes"]) == 10
    assert len(http.get("/v1/fleet/clusters", params={"sector": 1}).json()["scopes"]) == 10
    paths = http.get("/v1/openapi.json").json()["paths"]
    assert set(paths["/v1/operations"]) == {"get", "post"}
    assert {"200", "202"} <= set(paths["/v1/operations"]["post"]["responses"])


def test_in_python_it_is_the_same(client: Mesh) -> None:
    view = client.ping(timeout=20)
    assert (view.ready, view.simulated) == (AGENTS, True)
    counted = Counter(agent.class_title for agent in client.fleet_agents(filter="sector=4", limit=1_000))
    assert dict(client.ask("which class?", filter="sector=4", sample_size=0, timeout=20).answers) == counted
    held = client.broadcast("x", filter="not class=human", window="900ms", timeout=20)
    assert held.timing == "hold"
    assert held.hit_rate > 0
    assert client.operation(view.id, agents=True).states == ("ready",) * AGENTS
    assert view.id in {one.id for one in client.operations(limit=100)}


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "cli"))
def test_the_command_line_answers_a_mistake(
    mesh: RunningMesh, mistake: Mistake, capsys: pytest.CaptureFixture[str]
) -> None:
    make_on_the_command_line(mistake, str(mesh.data), capsys)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "python"))
def test_python_answers_a_mistake(client: Mesh, mistake: Mistake) -> None:
    make_in_python(mistake, client)


@pytest.mark.parametrize("mistake", at_door(MISTAKES, "http"))
def test_http_answers_a_mistake(http: httpx2.Client, mistake: Mistake) -> None:
    make_over_http(mistake, http)
