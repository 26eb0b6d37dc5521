"""Which task starts next, as the log of a real mesh shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ohmesh.assembly.connection import connect_client
from ohmesh.assembly.settings import load_settings
from ohmesh.model.priority import Priority
from tests.integration.hand_in import hand_in, read_log, request
from tests.integration.running_mesh import RunningMesh, running_mesh

LOW_TASKS = 10_000
NAP_S = 0.02


def test_a_critical_task_is_the_next_to_start_though_ten_thousand_low_ones_wait(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh:
        mesh.up("--workers", "0")
        mesh.worker("--name", "only", "--concurrency", "1")
        asyncio.run(_overtake(mesh))


async def _overtake(mesh: RunningMesh) -> None:
    config = load_settings({"mesh.data": str(mesh.data)})
    async with connect_client(config) as client:
        low = [
            request(client, "nap", number, NAP_S, priority=int(Priority.LOW)) for number in range(LOW_TASKS)
        ]
        waiting = (await hand_in(client, low)).ids
        (urgent,) = (
            await hand_in(client, [request(client, "nap", 0, NAP_S, priority=int(Priority.CRITICAL))])
        ).handles
        await urgent.end()
    audit = await read_log(config)
    submitted_ms = audit.submitted_ms[urgent.id]
    lease = next(lease for lease, attempt in audit.attempts.items() if attempt.task_id == urgent.id)
    overtaken = len(waiting) - len({attempt.task_id for attempt in audit.attempts.values()} - {urgent.id})
    between = [
        attempt
        for other, attempt in audit.attempts.items()
        if other < lease and attempt.granted_ms > submitted_ms
    ]
    assert len(waiting) == LOW_TASKS
    assert overtaken > 0.9 * LOW_TASKS
    assert between == []
