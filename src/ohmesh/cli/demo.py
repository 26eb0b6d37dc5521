"""`ohmesh demo`: a mesh does real work, loses a worker in the middle of it, and the raw log is asked what was lost.

Nothing is played: the processes are those of `ohmesh up`; a worker hangs (SIGSTOP, so that it cannot finish what it is
handed), is seen to hold tasks, and is killed with SIGKILL; the figures at the end are counted in the log on disk.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
from msgspec import structs

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import json_option
from ohmesh.cli.output import Output
from ohmesh.errors import MeshError

if TYPE_CHECKING:
    from ohmesh.assembly.audit import Audit
    from ohmesh.assembly.children import Child
    from ohmesh.assembly.supervisor import Supervisor
    from ohmesh.cli.demo_report import DemoReport
    from ohmesh.cli.demo_work import Work
    from ohmesh.roles.client import Client
    from ohmesh.roles.client_handle import TaskHandle

KINDS = ("text", "image")
WORKERS = 2
UNDER_WAY = 8
WORK_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    worker: str
    pid: int
    at_ms: int


@dataclass(slots=True)
class Run:
    """What happened, as far as the submitting side can know it; the log says the rest."""

    tasks: list[tuple[TaskHandle, Work]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    quiet_ms: list[float] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)


@click.command("demo")
@click.option("--tasks", type=click.IntRange(100, 100_000), default=400, show_default=True, help="How many.")
@json_option
def command(tasks: int, as_json: bool) -> int:
    """Watch a mesh do real work, lose a worker and lose nothing.

    Starts a mesh in a temporary directory with two workers, hands in sentences of two novels for their sentiment and
    photographs for the faces on them (with the extra `image`), kills a worker half-way with SIGKILL, and counts in the
    raw log what was lost and what was done twice.
    """
    from ohmesh.assembly.system import run_in_loop
    from ohmesh.cli.demo_work import demo_work
    from ohmesh.handlers.built_in import install_command, is_at_hand

    output = Output(as_json=as_json)
    kinds = [kind for kind in KINDS if is_at_hand(kind)]
    if "image" not in kinds:
        output.say(f"text only: photographs need OpenCV, {install_command('image')}")
    report = run_in_loop(_demo(demo_work(tasks, with_photographs="image" in kinds), kinds, output))
    output.data(report if as_json else "\n".join(report.lines()))
    return ExitCode.OK if report.is_whole else ExitCode.FAILED


async def _demo(work: list[Work], kinds: list[str], output: Output) -> DemoReport:
    from ohmesh.assembly.connection import connect_client
    from ohmesh.assembly.local import start_local

    begun_s = time.monotonic()
    output.say(f"1  starting a mesh: engine, dispatchers, {WORKERS} workers for {' and '.join(kinds)}")
    async with start_local(
        kinds, workers=WORKERS, notice=lambda line: output.say(f"   | {line}")
    ) as supervisor:
        output.say(f"   up after {time.monotonic() - begun_s:.1f} s at {supervisor.url}")
        run = Run()
        try:
            async with asyncio.timeout(WORK_DEADLINE_S), connect_client(supervisor.config) as client:
                await _work(client, supervisor, run, work, output)
        except TimeoutError:
            raise MeshError(f"The tasks did not end within {WORK_DEADLINE_S:g} s.") from None
        except ExceptionGroup as group:  # of the burst: one reason says enough
            raise group.exceptions[0] from None
        report = await _report(run, await _audit(supervisor), kinds)
        return structs.replace(report, seconds=round(time.monotonic() - begun_s, 1))


async def _work(client: Client, supervisor: Supervisor, run: Run, work: list[Work], output: Output) -> None:
    half = len(work) // 2
    output.say(f"2  handing in {_counted(work[:half])}, {UNDER_WAY} under way at a time")
    turns = asyncio.Semaphore(UNDER_WAY)
    await asyncio.gather(*(_hand_in(client, run, one, turns) for one in work[:half]))
    run.quiet_ms = list(run.latencies_ms)
    victim = supervisor.workers[0]
    output.say(f"3  handing in {len(work) - half} more at once; {victim.name} hangs meanwhile (SIGSTOP)")
    os.kill(victim.pid, signal.SIGSTOP)
    turns = asyncio.Semaphore(len(work))
    async with asyncio.TaskGroup() as burst:
        for one in work[half:]:
            burst.create_task(_hand_in(client, run, one, turns))
        run.kills.append(await _kill_holder(client, victim, output))
    output.say(f"4  all {len(run.tasks)} tasks have ended; counting in the raw log, entry by entry")


def _counted(work: list[Work]) -> str:
    photographs = sum(one.kind == "image" for one in work)
    sentences = f"{len(work) - photographs} sentences"
    return f"{sentences} and {photographs} looks at photographs" if photographs else sentences


async def _hand_in(client: Client, run: Run, work: Work, turns: asyncio.Semaphore) -> None:
    from ohmesh.roles.client import TaskRequest
    from ohmesh.roles.client_payload import encode_arguments

    async with turns:
        payload = encode_arguments(work.arguments, work.named, client.config.payload_bytes)
        begun_s = time.perf_counter()
        handle = await client.submit(TaskRequest(kind=work.kind, payload=payload))
        run.tasks.append((handle, work))
        await handle.end()
        run.latencies_ms.append((time.perf_counter() - begun_s) * 1000)


async def _kill_holder(client: Client, victim: Child, output: Output) -> Kill:
    """Kill -9 the worker once its dispatcher says that it holds tasks; stopped as it is, it cannot finish them."""
    pid = victim.pid
    while True:
        held = sum(host.running for host in await client.requests.list_hosts() if host.pid == pid)
        if held:
            os.kill(pid, signal.SIGKILL)
            output.say(f"   it holds {held} of them: kill -9 {pid}")
            return Kill(victim.name, pid, time.time_ns() // 1_000_000)


async def _audit(supervisor: Supervisor) -> Audit:
    from ohmesh.assembly.audit import audit_log
    from ohmesh.assembly.connection import connect_engine, read_shape
    from ohmesh.model.subject import Subjects

    mesh = supervisor.config.mesh.name
    async with connect_engine(supervisor.config) as engine:
        shape = await read_shape(engine.state, mesh)
        return await audit_log(engine.log, Subjects(mesh), shape.shards)


async def _report(run: Run, audit: Audit, kinds: list[str]) -> DemoReport:
    from ohmesh.cli.demo_report import DemoReport, killed_as_logged, percentiles
    from ohmesh.cli.demo_results import most_decided, photographs_seen
    from ohmesh.model.task import TaskState

    done = [
        (work, await handle.result()) for handle, work in run.tasks if handle.state is TaskState.SUCCEEDED
    ]
    acknowledged = [handle.id for handle, _ in run.tasks]
    return DemoReport(
        submitted=len(acknowledged),
        succeeded=sum(handle.state is TaskState.SUCCEEDED for handle, _ in run.tasks),
        lost=len(audit.lost(acknowledged)),
        committed_twice=len(audit.committed_twice()),
        killed_workers=len(run.kills),
        kinds=kinds,
        killed=[killed_as_logged(audit, kill.worker, kill.pid, killed_ms=kill.at_ms) for kill in run.kills],
        latency_ms=percentiles(run.quiet_ms),
        latency_kill_ms=percentiles(run.latencies_ms),
        log_entries=audit.entries,
        log_rows=audit.rows,
        epochs=audit.epochs,
        results=most_decided(done),
        photographs=photographs_seen(done),
    )
