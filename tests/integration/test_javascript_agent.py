"""An agent in another language, on a real server: examples/javascript-agent against frames of ours, as a lead sends
them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import structs

from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.fleet_frame import FleetBody, FleetFrame, decode_fleet_frame, encode_fleet_frame
from ohmesh.model.fleet_message import (
    Ack,
    ClockEcho,
    ClockProbe,
    Coordinate,
    Freeze,
    Heartbeat,
    Join,
    MessageHead,
    Scope,
    TargetState,
    Timing,
    Verb,
    hash_payload,
)
from ohmesh.model.frame import FRAME_VERSION
from ohmesh.model.hybrid_time import pack_stamp, physical_ms
from ohmesh.model.subject import FleetPart, Subjects
from ohmesh.model.topology import AgentPlace
from ohmesh.ports.bus import Message

Run = Callable[[Coroutine[Any, Any, None]], None]
Body = TypeVar("Body")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "javascript-agent"
PLACE = AgentPlace(0, 0, 7)
SUBJECTS = Subjects("m")
AHEAD_US = 3_600_000_000  # mesh time is not this machine's clock: an agent that takes its own is an hour off
PATIENCE_S = 20.0


def node_command() -> list[str]:
    """How node runs a program that uses WebSocket; empty where it cannot."""
    node = shutil.which("node")
    if node is None:
        return []
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version >= (22, 0):
        return [node]
    return [node, "--experimental-websocket", "--no-warnings"] if version >= (20, 10) else []


NODE = node_command()
pytestmark = pytest.mark.skipif(not NODE, reason="no Node 20.10 or later on this machine")


def mesh_us() -> int:
    return time.time_ns() // 1000 + AHEAD_US


class Lead:
    """What a lead hears of its cluster, and the clock that it answers with."""

    def __init__(self, engine: NatsEngine) -> None:
        self.bus = engine.bus
        self.heard: list[FleetFrame] = []
        self.news = asyncio.Event()
        self.answering: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        for part in (FleetPart.HEARTBEATS, FleetPart.ACKS):
            await self.bus.subscribe(SUBJECTS.cluster(0, 0, part), self.hear)

    def hear(self, message: Message) -> None:
        received_us = mesh_us()
        frame = decode_fleet_frame(message.data)
        self.heard.append(frame)
        self.news.set()
        for body in frame.bodies:
            if isinstance(body, ClockProbe):
                echo = ClockEcho(body.sent_us, received_us, mesh_us(), 1, 1)
                answer = asyncio.get_running_loop().create_task(self.say(echo))
                self.answering.add(answer)
                answer.add_done_callback(self.answering.discard)

    async def say(self, *bodies: FleetBody) -> None:
        stamp = pack_stamp(mesh_us() // 1000, 5)
        frame = FleetFrame(FRAME_VERSION, "lead", 1, stamp, list(bodies))
        await self.bus.publish(SUBJECTS.agent(PLACE), encode_fleet_frame(frame))

    def all(self, kind: type[Body]) -> list[Body]:
        return [body for frame in self.heard for body in frame.bodies if isinstance(body, kind)]

    async def until(
        self, kind: type[Body], fits: Callable[[Body], bool] = lambda _: True, count: int = 1
    ) -> Body:
        """The `count`-th body of this kind that fits."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := [body for body in self.all(kind) if fits(body)]) < count:
                self.news.clear()
                await self.news.wait()
        return found[count - 1]


def order(message_id: str, payload: bytes = b"sweep", **changes: Any) -> Coordinate:
    head = MessageHead(message_id, "lead", pack_stamp(mesh_us() // 1000, 5))
    message = Coordinate(head, Verb.ACT, payload=payload, payload_hash=hash_payload(payload))
    return structs.replace(message, **changes)


@contextlib.asynccontextmanager
async def agent_and_lead(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, Process, Lead]]:
    server = EmbeddedServer(EmbeddedConfig(folder / "data", websocket_port=0))
    await server.start()
    engine = await NatsEngine.connect(server.url, mesh="m", seed_file=server.seed_file)
    process = None
    try:
        lead = Lead(engine)
        await lead.listen()
        arguments = [server.websocket_url, str(server.seed_file), "m", str(PLACE), "gpu"]
        process = await asyncio.create_subprocess_exec(*NODE, str(EXAMPLE / "agent.mjs"), *arguments)
        yield server, process, lead
    finally:
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        await engine.close()
        await server.stop()


def is_active(heartbeat: Heartbeat) -> bool:
    """And knows mesh time, since it has heard an echo."""
    return heartbeat.liveness is Liveness.ACTIVE and heartbeat.rtt_ms is not None


def test_it_joins_says_how_it_is_and_takes_mesh_time(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agent_and_lead(tmp_path) as (_, process, lead):
            joined = await lead.until(Join)
            assert (joined.agent, joined.agent_class, joined.capabilities) == (str(PLACE), "E", ("gpu",))
            beat = await lead.until(Heartbeat, is_active)
            assert (beat.agent, beat.duty, beat.processing_ms) == (str(PLACE), Duty.READY, None)
            await lead.say(order("first"))
            ack = await lead.until(Ack)
            assert (ack.message_id, ack.agent, ack.state, ack.conflict) == ("first", str(PLACE), 1, None)
            assert abs(ack.arrived_us - mesh_us()) < AHEAD_US / 2
            assert abs(1000 * physical_ms(lead.heard[-1].stamp) - mesh_us()) < AHEAD_US / 2
            process.send_signal(signal.SIGTERM)
            await lead.until(Heartbeat, lambda one: one.liveness is Liveness.LEFT)
            assert await process.wait() == 0

    run(scenario())


def test_it_holds_until_t_by_mesh_time_and_answers(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agent_and_lead(tmp_path) as (_, _, lead):
            await lead.until(Heartbeat, is_active)
            target_us = mesh_us() + 1_000_000
            await lead.say(order("hold", verb=Verb.DECIDE, target_us=target_us, timing=Timing.HOLD))
            ack = await lead.until(Ack)
            assert target_us <= ack.ready_us
            assert ack.state is TargetState.READY
            assert ack.answer == b"I would sweep"

    run(scenario())


def test_it_does_once_what_comes_twice_and_nothing_that_is_late_or_altered(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agent_and_lead(tmp_path) as (_, _, lead):
            await lead.until(Heartbeat, is_active)
            late = order("late")
            an_hour_ago = pack_stamp(mesh_us() // 1000 - 3_600_000, 0)
            await lead.say(structs.replace(late, head=structs.replace(late.head, created=an_hour_ago)))
            await lead.say(order("altered", payload_hash=hash_payload(b"weep")))
            await lead.say(order("unhashed", payload_hash=b""))
            again = order("again")
            await lead.say(again)
            first = await lead.until(Ack)
            await lead.say(again, order("last"))
            await lead.until(Ack, lambda one: one.message_id == "last")
            assert [ack for ack in lead.all(Ack) if ack.message_id != "last"] == [first, first]

    run(scenario())


def test_it_says_why_it_does_not_and_freezes_and_thaws(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agent_and_lead(tmp_path) as (_, _, lead):
            await lead.until(Heartbeat, is_active)
            await lead.say(order("no", requires=("gpu", "tpu")))
            refused = await lead.until(Ack)
            assert refused.state is TargetState.CONFLICT
            assert refused.conflict is not None
            assert (refused.conflict.kind, refused.conflict.received) == ("capability_mismatch", "tpu")
            for count, thaw in enumerate([False, True], 1):
                head = MessageHead(f"freeze {count}", "lead", pack_stamp(mesh_us() // 1000, 0))
                await lead.say(Freeze(head, Scope.AGENT, str(PLACE), thaw=thaw), order(f"after {count}"))
                ack = await lead.until(Ack, lambda one, count=count: one.message_id == f"after {count}")  # type: ignore[misc]
                assert (ack.state is TargetState.READY) is thaw
            await lead.until(Heartbeat, lambda one: one.duty is Duty.FROZEN)

    run(scenario())


def test_it_comes_back_after_the_server_went_away(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agent_and_lead(tmp_path) as (server, _, lead):
            await lead.until(Heartbeat, is_active)
            await server.restart()
            await lead.until(Join, count=2)
            await lead.say(order("after"))
            assert (await lead.until(Ack)).message_id == "after"

    run(scenario())


def test_nobody_comes_in_through_the_websocket_without_the_key(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        server = EmbeddedServer(EmbeddedConfig(tmp_path / "data", websocket_port=0))
        await server.start()
        try:
            script = (
                "const s = new WebSocket(process.argv[1]); s.binaryType = 'arraybuffer';"
                "s.onmessage = ({data}) => { const text = Buffer.from(data).toString();"
                "  const said = 'CONNECT {}\\r\\nSUB > 1\\r\\nPING\\r\\n';"
                "  if (text.startsWith('INFO')) s.send(said); else console.log(text); };"
                "s.onclose = () => process.exit(0);"
            )
            ran = await asyncio.create_subprocess_exec(
                *NODE, "-e", script, server.websocket_url, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await ran.communicate()
            assert b"Authorization Violation" in said
            assert b"PONG" not in said
        finally:
            await server.stop()

    run(scenario())
