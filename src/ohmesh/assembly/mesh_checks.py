"""What `ohmesh doctor` asks the mesh itself: is it reached, who decides, was anything lost, is history up to date."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ohmesh.assembly.connection import connect_client, connect_engine
from ohmesh.assembly.data_directory import DataDirectory
from ohmesh.assembly.findings import Finding, fine, note, problem, warning
from ohmesh.assembly.standing import running_pid, vanished_pid
from ohmesh.config import Config
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.errors import MeshUnreachable, OhmeshError
from ohmesh.model.agent import HostView, Liveness
from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import DescribeFleet
from ohmesh.model.message import ShardDescription
from ohmesh.model.schedule import SchedulePage
from ohmesh.model.task import DEAD_LETTER_STATES
from ohmesh.model.webhook import AskWebhooks, WebhookAction, WebhookState
from ohmesh.policies.degradation import Mode
from ohmesh.roles.client import Client

ANSWER_S = 5.0
ENTRIES_BEHIND_WISHED = 5_000
CLOCK_WRONG_MS = 2_000
SCHEDULES_LOOKED_AT = 1_000
SCHEDULE_LATE_MS = 60_000


async def check_mesh(config: Config, data: DataDirectory) -> list[Finding]:
    """One finding after the other, as far as the mesh is reached."""
    try:
        if not config.engine.url and not running_pid(data):
            return [_absent(data)]
    except OhmeshError as error:
        return [problem("mesh", error.message, error.hint)]
    begun_s = time.perf_counter()
    try:
        async with connect_engine(config) as engine, connect_client(config) as client:
            took_ms = (time.perf_counter() - begun_s) * 1000
            found = [fine("engine", f"reached and let in after {took_ms:.0f} ms")]
            return found + await _ask(engine, client)
    except OhmeshError as error:
        return [problem("engine", error.message, error.hint)]


def _absent(data: DataDirectory) -> Finding:
    if pid := vanished_pid(data):
        gone = f"the one that ran in {data.root} (process {pid}) is gone without having ended"
        return problem("mesh", gone, "`ohmesh up` goes on where it was.")
    return note("mesh", f"none runs in {data.root}", "`ohmesh up` starts it.")


async def _ask(engine: NatsEngine, client: Client) -> list[Finding]:
    asked_ms = client.requests.now_ms()
    try:
        shards = await client.requests.describe(timeout_s=ANSWER_S)
        answered_ms = client.requests.now_ms()
        hosts = await client.requests.list_hosts(timeout_s=ANSWER_S)
    except MeshUnreachable as error:
        return [
            problem("mesh", error.message, "Look at the output of `ohmesh up`; it restarts what has died.")
        ]
    active = sum(host.liveness is Liveness.ACTIVE for host in hosts)
    found = [fine("mesh", f"{len(shards)} shard(s), each with its dispatcher")]
    if active:
        found.append(fine("workers", f"{active} of {len(hosts)} known are active"))
    else:
        found.append(warning("workers", "none is active", "Start one: ohmesh worker module:object"))
    found.append(clock_finding(asked_ms, answered_ms, [shard.mesh_ms for shard in shards]))
    found += _unserved(shards, hosts)
    found += _tails(shards)
    found += schedule_findings(await client.schedules.list(limit=SCHEDULES_LOOKED_AT), answered_ms)
    return found + await _history(client) + await _webhooks(client) + await _fleet(client)


def clock_finding(asked_ms: int, answered_ms: int, mesh_ms: Sequence[int]) -> Finding:
    """How far this machine's clock is off the mesh's at least: an answer was given between asking and hearing it."""
    ahead = [asked_ms - each for each in mesh_ms if asked_ms > each]
    behind = [each - answered_ms for each in mesh_ms if each > answered_ms]
    off_ms = max([0, *ahead, *behind])
    if off_ms <= CLOCK_WRONG_MS:
        return fine("clock", f"at most {max(off_ms, answered_ms - asked_ms)} ms off the mesh's")
    side = "ahead of" if max(ahead, default=0) > max(behind, default=0) else "behind"
    return warning(
        "clock",
        f"{off_ms / 1000:.1f} s {side} the mesh's; tasks are done all the same, but ages that are shown here are wrong",
        "Let both machines follow a time server.",
    )


def schedule_findings(page: SchedulePage, now_ms: int) -> list[Finding]:
    """Which comes next, which is late, whose last task failed; nothing is said where there is no schedule."""
    if not page.schedules:
        return []
    live = [view for view in page.schedules if view.next_due_ms]
    told = f"{page.total}, of which {len(page.schedules) - len(live)} paused"
    if live:
        first = min(live, key=lambda view: view.next_due_ms)
        told += f"; {first.schedule.name} is due next, in {max(0, first.next_due_ms - now_ms) / 1000:.0f} s"
    found = [fine("schedules", told)]
    for view in page.schedules:
        name, kind = view.schedule.name, view.schedule.kind
        if view.next_due_ms and now_ms - view.next_due_ms > SCHEDULE_LATE_MS:
            late = f"{name} has been due for {(now_ms - view.next_due_ms) / 1000:.0f} s"
            found.append(
                warning("schedules", late, f"Is kind {kind} full? `ohmesh queues` shows what waits of it.")
            )
        elif view.last_state in DEAD_LETTER_STATES:
            ended = f"the last task of {name} ended {view.last_state}"
            found.append(warning("schedules", ended, f"Why: ohmesh tasks get {view.last_task_id}"))
    return found


def _unserved(shards: Sequence[ShardDescription], hosts: Sequence[HostView]) -> list[Finding]:
    """A warning for each kind of which tasks wait while no active worker runs it."""
    run = {kind for host in hosts if host.liveness is Liveness.ACTIVE for kind in host.kinds}
    waiting = {
        kind: queued + retrying
        for shard in shards
        for kind, (queued, _running, retrying) in shard.depth.items()
        if queued + retrying and kind not in run
    }
    return [
        warning(
            "kinds",
            f"{count} task(s) of kind {kind!r} wait, and no active worker runs it",
            f"Start one: ohmesh worker module:object; or give them up: ohmesh queues purge {kind}",
        )
        for kind, count in sorted(waiting.items())
    ]


def _tails(shards: list[ShardDescription]) -> list[Finding]:
    lost = [
        problem(
            "tail",
            f"shard {shard.shard} lost the end of its log: {shard.lost_tail}",
            "Submit those tasks again; `ohmesh up --durability fsync` prevents it.",
        )
        for shard in shards
        if shard.lost_tail
    ]
    return lost or [fine("tail", "no log has lost its end")]


async def _history(client: Client) -> list[Finding]:
    """As the historian says it, who has the ledger open: this machine may know neither its address nor its password."""
    try:
        history = await client.history.describe(timeout_s=ANSWER_S)
    except OhmeshError as error:
        return [warning("history", error.message, "Ask again; the output of `ohmesh up` says what goes on.")]
    place = f"the ledger at {history.ledger}"
    if history.trouble:
        remedy = "Tasks go on. Start its database, or mend `--ledger`; history catches up by itself."
        return [problem("history", f"{place} does not answer: {history.trouble}", remedy)]
    if history.behind < 0:
        return [note("history", f"{place} answers; how far it is behind is not known yet")]
    behind = f"{place} answers and is {history.behind} log entries behind"
    if history.behind > ENTRIES_BEHIND_WISHED:
        return [warning("history", behind, "Is its database slow, is its disk full?")]
    return [fine("history", behind)]


async def _fleet(client: Client) -> list[Finding]:
    """Whether there is one, and whether it is whole."""
    try:
        fleet = await client.fleet.ask(DescribeFleet(), FleetDescription, timeout_s=ANSWER_S, patience_s=0.0)
    except MeshUnreachable:
        return [note("fleet", "there is none", "`ohmesh up --agents 3000` starts one of simulated agents.")]
    except OhmeshError as error:
        return [warning("fleet", error.message, error.hint)]
    if fleet.mode != Mode.FULL.name:
        return [warning("fleet", fleet.summary, "`ohmesh fleet sectors` shows where agents are missing.")]
    if not fleet.agents:
        return [note("fleet", "it has no agents yet", "`ohmesh up --agents 3000` starts simulated ones.")]
    return [fine("fleet", fleet.summary)]


async def _webhooks(client: Client) -> list[Finding]:
    """Those that are not told; nothing where there are none, or nobody tells any."""
    try:
        page = await client.webhooks.ask(AskWebhooks(WebhookAction.LIST), timeout_s=0.0)
    except OhmeshError:
        return []
    found = []
    for one in page.webhooks:
        if one.state is WebhookState.PAUSED:
            found.append(
                warning("webhooks", f"{one.id} is paused: {one.reason}", f"ohmesh webhooks resume {one.id}")
            )
        elif one.state is WebhookState.FAILING:
            remedy = f"It is tried again. Look at {one.url}; `ohmesh webhooks test {one.id}` tries now."
            found.append(warning("webhooks", f"{one.id} is not told: {one.failure}", remedy))
    told = f"{len(page.webhooks)} told of events"
    return found or ([fine("webhooks", told)] if page.webhooks else [])
