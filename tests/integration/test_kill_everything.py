"""Workers, the dispatcher's process and nats-server killed -9 at random while 2,000 tasks go through the mesh.

What is promised is counted in the raw log: every acknowledged task has exactly one end. A failure prints the seed;
`KILL_SEED=<seed> pytest tests/integration/test_kill_everything.py` kills in the same order again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from ohmesh.assembly.audit import Audit, audit_log
from ohmesh.assembly.connection import connect_client, connect_engine
from ohmesh.assembly.settings import load_settings
from ohmesh.config import Config
from ohmesh.errors import MeshUnreachable, OhmeshError
from ohmesh.model.agent import Liveness
from ohmesh.model.subject import Subjects, shard_of
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import encode_arguments
from tests.integration.running_mesh import Program, RunningMesh, running_mesh

TASKS = 2_000
NAP_S = 0.02
KINDS_OF_VICTIM = ("worker", "dispatcher", "engine")
WORKERS = 2
KILLS_OF_EACH = 5 if os.environ.get("OHMESH_SOAK") == "1" else 2
COMES_BACK_MS = 5_000  # a worker that was killed is started and has joined by then
LAST_TASKS = 400  # wait when the last dispatcher is killed, so that its successor has work to grant
BETWEEN_KILLS_S = (0.3, 1.5)
SUCCESSION_BOUND_MS = 10_000
ALL_ENDED_S = 100.0


@dataclass(frozen=True)
class Killed:
    what: str
    pid: int
    at_ms: int


@pytest.mark.timeout(300)  # half a minute when quiet; its own bounds speak first
def test_two_thousand_tasks_outlive_random_kills_of_everything(tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED") or secrets.randbits(32))
    _tell(f"KILL_SEED={seed}")
    with running_mesh(tmp_path) as mesh:
        up = mesh.up("--workers", "0")
        for number in range(WORKERS):
            mesh.worker("--name", f"mine-{number}", "--concurrency", "2")
        asyncio.run(_ordeal(mesh, up, random.Random(seed)))


async def _ordeal(mesh: RunningMesh, up: Program, rng: random.Random) -> None:
    config = load_settings({"mesh.data": str(mesh.data)})
    async with connect_client(config) as client:
        killing = asyncio.create_task(_kill_at_random(mesh, up, client, rng))
        handles = await _submit_all(client, rng, range(TASKS - LAST_TASKS))
        killed = await killing
        await _until_both_work(client)
        last = range(TASKS - LAST_TASKS, TASKS)
        handles += await asyncio.gather(*(_submit(client, number) for number in last))
        killed.append(await _kill("dispatcher", mesh, up, client, rng))
        async with asyncio.timeout(ALL_ENDED_S):
            ends = await asyncio.gather(*(handle.end() for handle in handles))
    audit = await _audit(config)
    acknowledged = [handle.id for handle in handles]
    successions = _successions(audit, killed)
    executions = audit.executions()
    _tell(f"kills {[kill.what for kill in killed]}; epochs {audit.epochs}; states {dict(audit.states)}")
    _tell(
        f"executions beyond one: {sum(executions.values()) - len(executions)}; handed back: {audit.returned}"
    )
    _tell(f"granted again after a dispatcher's death, ms: {successions}")
    assert audit.lost(acknowledged) == []
    assert audit.committed_twice() == []
    assert len(ends) == TASKS
    assert {end.state.value for end in ends} == {"succeeded"}
    assert {kill.what for kill in killed} == set(KINDS_OF_VICTIM)
    assert successions
    assert all(gap_ms <= SUCCESSION_BOUND_MS for gap_ms in successions)


def _tell(line: str) -> None:
    """Into the test's output, which a failure shows (and `pytest -rP` always)."""
    sys.stdout.write(line + "\n")


async def _submit_all(client: Client, rng: random.Random, numbers: range) -> list[TaskHandle]:
    """In bursts, all through the ordeal; what nobody acknowledged is submitted again with the same key."""
    handles: list[TaskHandle] = []
    while numbers:
        size = rng.randint(20, 120)
        burst, numbers = numbers[:size], numbers[size:]
        handles += await asyncio.gather(*(_submit(client, number) for number in burst))
        await asyncio.sleep(rng.uniform(0.05, 0.4))
    return handles


async def _submit(client: Client, number: int) -> TaskHandle:
    payload = encode_arguments([number, NAP_S], {}, client.config.payload_bytes)
    while True:
        try:
            return await client.submit(TaskRequest(kind="nap", payload=payload, key=f"task-{number}"))
        except MeshUnreachable:
            continue


async def _kill_at_random(mesh: RunningMesh, up: Program, client: Client, rng: random.Random) -> list[Killed]:
    """Each kind of victim, in a random order at random times."""
    victims = [what for _ in range(KILLS_OF_EACH) for what in KINDS_OF_VICTIM]
    rng.shuffle(victims)
    killed = []
    for what in victims:
        await asyncio.sleep(rng.uniform(*BETWEEN_KILLS_S))
        killed.append(await _kill(what, mesh, up, client, rng))
    return killed


async def _kill(what: str, mesh: RunningMesh, up: Program, client: Client, rng: random.Random) -> Killed:
    """Kill -9 one of them; a killed worker is started again here, the rest is the supervisor's to replace."""
    pid = await _pid_of(what, mesh, up, client, rng)
    at_ms = time.time_ns() // 1_000_000
    if what == "worker":
        program = next(program for program in mesh.programs if program.process.pid == pid)
        await asyncio.to_thread(program.kill)
        mesh.begin("worker", "napping", "--data", str(mesh.data), "--concurrency", "2")
    else:
        psutil.Process(pid).kill()
    return Killed(what, pid, at_ms)


async def _pid_of(what: str, mesh: RunningMesh, up: Program, client: Client, rng: random.Random) -> int:
    if what == "engine":
        return int(up.child("nats-server", "-c").pid)
    if what == "worker":
        return int(rng.choice([program.process.pid for program in mesh.programs if _works(program)]))
    while True:
        try:
            shards = await client.requests.describe()
        except OhmeshError:
            continue
        pid = int(shards[shard_of("nap", len(shards))].owner.rpartition("-")[2])
        if psutil.pid_exists(pid):
            return pid


async def _until_both_work(client: Client) -> None:
    """A successor can only grant to workers that are there."""
    active = 0
    while active < WORKERS:
        with contextlib.suppress(OhmeshError):
            hosts = await client.requests.list_hosts()
            active = sum(host.liveness is Liveness.ACTIVE and "nap" in host.kinds for host in hosts)


def _works(program: Program) -> bool:
    return program.output.name.startswith("worker") and program.process.is_running()


async def _audit(config: Config) -> Audit:
    async with connect_engine(config) as engine:
        return await audit_log(engine.log, Subjects(config.mesh.name), config.mesh.shards)


def _successions(audit: Audit, killed: list[Killed]) -> list[int]:
    """From each kill of a dispatcher to the next grant, where the engine and the workers were left alone meanwhile,
    and no worker was still on its way back."""
    grants = sorted(attempt.granted_ms for attempt in audit.attempts.values())
    gaps = []
    for place, kill in enumerate(killed):
        later = [at_ms for at_ms in grants if at_ms > kill.at_ms]
        alone = all(
            other.what == "dispatcher" or not kill.at_ms - COMES_BACK_MS < other.at_ms < later[0]
            for other in (killed if later else [])
        )
        is_last = place == len(killed) - 1  # for which both workers were waited for
        if kill.what == "dispatcher" and later and (alone or is_last):
            gaps.append(later[0] - kill.at_ms)
    return gaps
