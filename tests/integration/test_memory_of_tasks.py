"""What a task that waits for long costs, in the resident memory of a process that holds a hundred thousand of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASKS = 100_000
BYTES_MAX = 300

PROGRAM = """
import gc, json, random, sys
import psutil
sys.path[:0] = [{root!r}]
from ohmesh.model.identity import encode_base32
from ohmesh.model.task import Submission
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.history import History
from ohmesh.protocols.queue.task_table import TaskTable
from tests.unit.protocols.queue.shard_driver import ShardDriver
from ohmesh.protocols.queue import intake

role, delay_ms, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
driver, table, frames = ShardDriver(), TaskTable(), 0
history = History("log", table, sequence=0, previous=None)
history.table.epoch = 1
process = psutil.Process()

def burst(size):
    ids = [encode_base32(random.getrandbits(130), 26) for _ in range(size)]
    due_ms = driver.now_ms + delay_ms if delay_ms else 0
    tasks = [Submission(each, "kind", bytes(8), 1, driver.now_ms, due_ms) for each in ids]
    step = r.decode_log_frame(r.encode_log_frame(r.LogFrame(1, 1, 0, b"", [r.Submitted(driver.now_ms, tasks)])), 1)
    if role == "dispatcher":
        intake.submit(driver.shard, "client", step.rows[0].tasks, driver.now_ms)
        while (taken := driver.shard.take_step()) is not None:
            driver.shard.appended(taken)
    else:
        history.table.apply_all(step.rows)

for _ in range(200):  # lanes that are not deep yet, and what is allocated once
    burst(100)
gc.collect()
before = process.memory_info().rss
for _ in range(count // 100):
    burst(100)
gc.collect()
print(json.dumps((process.memory_info().rss - before) / count))
"""


@pytest.mark.parametrize("role", ["dispatcher", "projector"])
@pytest.mark.parametrize("delay_ms", [3_600_000, 0], ids=["delayed", "behind others"])
def test_a_task_that_waits_for_long_takes_less_than_300_bytes(role: str, delay_ms: int) -> None:
    command = [sys.executable, "-c", PROGRAM.format(root=str(ROOT)), role, str(delay_ms), str(TASKS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    each = json.loads(done.stdout)
    sys.stdout.write(f"{each:.0f} bytes each\n")
    assert 50 < each < BYTES_MAX
