"""Garbage on the bus, from somebody who has the key: it is counted, answered or dropped, and nothing dies of it."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ohmesh.assembly.connection import connect_client, connect_engine
from ohmesh.assembly.settings import load_settings
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import OhmeshError
from ohmesh.model.frame import FRAME_VERSION, decode_reply
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects
from tests.integration.hand_in import hand_in, request, states
from tests.integration.running_mesh import RunningMesh, running_mesh

MESH = Subjects("default")
HUGE = 2**63 - 1
ROUNDS = 30_000 if os.environ.get("OHMESH_SOAK") == "1" else 300


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("frames")) as mesh:
        mesh.up("--workers", "0")
        mesh.worker("--name", "mine")
        yield mesh


def processes_of(mesh: RunningMesh) -> set[int]:
    return {process.pid for program in mesh.programs for process in [program.process, *program.children()]}


def frame(*bodies: Any, version: int = FRAME_VERSION, term: object = 1) -> bytes:
    return msgspec.msgpack.encode([version, "nobody", term, 1, list(bodies)])


def odd_bodies() -> list[Any]:
    """Of the right shape, mostly, with values that no program of ours would send."""
    task = ["an-id", "echo", b"", 1, HUGE, HUGE, HUGE, HUGE, ["x"] * 100]
    agent = ["ghost/echo", "echo", [], HUGE, HUGE, HUGE]
    report: list[Any] = [21, "ghost", HUGE, HUGE, HUGE, [agent], [HUGE, -1], "ready", False, HUGE, -1, "v"]
    return [
        [1, "no word of a subject.>", [["id-1", "echo", b"x"]]],
        [1, "", [["", "", b""], ["x" * 1_000, "echo", b""], ["id-2", "\n", b""], task]],
        [1, "x" * 10_000, [["id-3", "echo", b"\xc1 no arguments"]]],
        [1, "me", [["id-4", "echo", secrets.token_bytes(100)]] * 1_000],
        [2, "me", ["nobody-knows"] * 10_000],
        [3, "me", ["", "\x00", "x" * 1_000]],
        report,
        [21, "mine/of/others", 1, 1, 1, [], []],
        [21, "ghost", -5, 0, 0, [["mine/echo", "echo"]], []],
        [22, "mine", 1, [[HUGE, "an-id", 0, b"", None, 0, 0, -1], [-1, "", 6]], [["mine/echo", -7]]],
        [22, "mine", HUGE, [], [["mine/nobody", HUGE]]],
        [41, [], "", "no state", HUGE, "no cursor"],
        [41, ["x"] * 10_000],
        [99, "no such message"],
        [1],
        [],
        None,
        "text",
    ]


def garbage(rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return frame(rng.choice(odd_bodies()))
    if kind == 2:
        return frame(rng.choice(odd_bodies()), version=2)
    if kind == 3:
        return frame(rng.choice(odd_bodies()), term="a term")
    whole = bytearray(frame(*odd_bodies()))
    whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    return bytes(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)


async def throw(engine: NatsEngine, client_name: str, rng: random.Random) -> None:
    subjects = [
        MESH.dispatcher(0),
        MESH.dispatcher(1),
        MESH.host("mine"),
        MESH.every_host(),
        MESH.client(client_name),
    ]
    for _ in range(ROUNDS):
        await engine.bus.publish(rng.choice(subjects), garbage(rng))
    for subject in subjects:
        await engine.bus.publish(subject, bytes(1_000_000))
        for body in odd_bodies():
            await engine.bus.publish(subject, frame(body))


def test_garbage_on_every_subject_kills_nothing_and_stops_nothing(mesh: RunningMesh) -> None:
    seed = int(os.environ.get("BREAKING_SEED") or secrets.randbits(32))
    sys.stdout.write(f"BREAKING_SEED={seed}\n")
    before = processes_of(mesh)

    async def scenario() -> None:
        config = load_settings({"mesh.data": str(mesh.data)})
        async with connect_client(config) as client, connect_engine(config) as engine:
            owners = [each.epoch for each in await client.requests.describe()]
            handed_in = await hand_in(client, [request(client, "nap", n, 0.01) for n in range(50)])
            await throw(engine, client.name, random.Random(seed))
            handed_in.handles += (await hand_in(client, [request(client, "echo", "x")] * 50)).handles
            assert await states(handed_in.handles) == {"succeeded": 100}
            assert client.statistics().undecodable > 0
            assert [each.epoch for each in await client.requests.describe()] == owners, mesh.programs[0].said

    asyncio.run(scenario())
    assert processes_of(mesh) == before
    assert "Traceback" not in "".join(program.said for program in mesh.programs)


@pytest.mark.parametrize(
    "data",
    [b"", b"garbage", frame([45], version=2), frame([99]), frame([41, [], "", "", 1, "no cursor"])],
    ids=["nothing", "garbage", "version-2", "no-such-message", "no-cursor"],
)
def test_a_request_that_cannot_be_read_is_answered_with_the_problem(mesh: RunningMesh, data: bytes) -> None:
    async def scenario() -> None:
        async with connect_engine(load_settings({"mesh.data": str(mesh.data)})) as engine:
            answer = decode_reply(await engine.bus.request(MESH.dispatcher(0), data, timeout_s=10))
            (problem,) = answer.bodies
            assert isinstance(problem, Problem)
            assert problem.code == "invalid_argument"
            assert problem.message

    asyncio.run(scenario())


def test_a_message_above_what_the_engine_takes_is_refused_to_its_sender(mesh: RunningMesh) -> None:
    async def scenario() -> None:
        async with connect_engine(load_settings({"mesh.data": str(mesh.data)})) as engine:
            with pytest.raises(OhmeshError, match="max_payload"):
                await engine.bus.publish(MESH.dispatcher(0), bytes(2_000_000))
            await engine.bus.request(MESH.dispatcher(0), frame([45]), timeout_s=10)

    asyncio.run(scenario())
