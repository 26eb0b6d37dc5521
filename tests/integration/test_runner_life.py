"""How a pool starts, what it says when it cannot, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from ohmesh.errors import AgentDefinitionError
from ohmesh.model.agent import AgentSpec
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.runners.config import RunnerConfig
from ohmesh.runners.pool import ProcessRunnerPool
from tests.unit.runners.runner_harness import AGENTS_FOLDER, Host, config, payload, running

ROOT = Path(__file__).resolve().parents[2]


def runner_processes() -> list[str]:
    """Command lines of this process's runners; servers that other tests share are none of our business."""
    found: list[str] = []
    for child in psutil.Process().children():
        try:
            words = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "ohmesh.runners" in words:
            found.append(words)
    return found


def start_error(settings: RunnerConfig) -> str:
    async def scenario() -> str:
        pool = ProcessRunnerPool(settings)
        host = Host(pool)
        with pytest.raises(AgentDefinitionError) as caught:
            await pool.start(host.report, host.resize)
        return str(caught.value)

    message = asyncio.run(scenario())
    assert not runner_processes()
    return message


def module(folder: Path, source: str) -> RunnerConfig:
    (folder / "shipped.py").write_text(source)
    return RunnerConfig(
        targets=("shipped",),
        import_paths=(str(folder),),
        sync_processes=1,
        start_timeout_ms=3000,
        restart_delay_ms=10,
    )


def test_start_returns_what_was_declared() -> None:
    async def scenario() -> None:
        async with running(config("sleep", "add_async")) as host:
            assert host.specs == [
                AgentSpec("sleep", "sleep", ("gpu",), 2, 30_000, 4),
                AgentSpec("add_async", "add_async", (), 64, 0, 0),
            ]

    asyncio.run(scenario())


def test_built_in_kinds_run_beside_user_agents() -> None:
    async def scenario() -> None:
        settings = RunnerConfig(
            targets=("text", "function", "runner_agents:add"),
            options={"allow": ("math",)},
            import_paths=(AGENTS_FOLDER,),
            sync_processes=1,
        )
        async with running(settings) as host:
            assert (await host.do("text", "I love this"))["label"] == "POSITIVE"
            assert await host.do("function", "math:sqrt", 9) == 3
            assert await host.do("add", 1, 2) == 3
            refused = host.grant("function", "os:getcwd")
            assert await host.status(refused) is OutcomeStatus.FAILED_PERMANENTLY

    asyncio.run(scenario())


def test_agents_that_cannot_be_loaded_are_an_error_that_says_why(tmp_path: Path) -> None:
    assert "no module 'nowhere'" in start_error(RunnerConfig(targets=("nowhere:agent",)))
    assert "ZeroDivisionError" in start_error(module(tmp_path, "1 / 0\n"))


def test_a_module_that_ends_the_process_while_it_loads_is_named(tmp_path: Path) -> None:
    message = start_error(module(tmp_path, "import os\nos._exit(5)\n"))
    assert "exit code 5" in message
    assert "shipped" in message


def test_a_module_that_never_finishes_loading_is_killed_and_named(tmp_path: Path) -> None:
    message = start_error(module(tmp_path, "import time\ntime.sleep(600)\n"))
    assert "3000 ms" in message


def test_processes_that_no_longer_load_are_tried_again_until_they_do(tmp_path: Path) -> None:

    async def scenario() -> None:
        settings = module(tmp_path, DIES)
        async with running(settings) as host:
            (tmp_path / "shipped.py").write_text("1 / 0\n")
            assert await host.status(host.grant("die", 1)) is OutcomeStatus.CRASHED
            await host.until(lambda: host.pool.statistics().failed_starts >= 2)
            assert await host.status(host.grant("die", 1)) is OutcomeStatus.RETURNED
            assert host.slots["die"] == 0
            (tmp_path / "shipped.py").write_text(DIES)
            await host.until(lambda: len(host.pool.statistics().process_ids) == 1)
            await host.until(lambda: host.slots["die"] == 1)
            assert await host.status(host.grant("die", 1)) is OutcomeStatus.CRASHED

    asyncio.run(scenario())


def test_an_unknown_agent_and_a_stopped_pool_hand_back() -> None:
    async def scenario() -> None:
        async with running(config("add")) as host:
            unknown = host.grant("nobody")
            assert await host.status(unknown) is OutcomeStatus.RETURNED
            await host.pool.stop(grace_s=0)
            assert await host.status(host.grant("add", 1, 2)) is OutcomeStatus.RETURNED

    asyncio.run(scenario())


def test_stop_hands_back_what_waits_lets_the_running_end_and_leaves_no_process() -> None:
    async def scenario() -> None:
        async with running(config("sleep", sync_processes=1, hand_back_ms=20_000)) as host:
            ends = host.grant("sleep", 0.4)
            waits = host.grant_many("sleep", [(0.4,)] * 5)
            await host.started(ends)
            await host.pool.stop(grace_s=20)
            assert host.outcomes[ends].status is OutcomeStatus.SUCCEEDED
            assert {host.outcomes[lease].status for lease in waits} == {OutcomeStatus.RETURNED}

    asyncio.run(scenario())
    assert not runner_processes()


def test_what_does_not_end_within_the_grace_of_stop_is_killed_and_handed_back() -> None:
    async def scenario() -> None:
        async with running(config("sleep", "sleep_async", "stubborn")) as host:
            leases = [host.grant("sleep", 60), host.grant("sleep_async", 60), host.grant("stubborn")]
            await host.started(*leases)
            await host.pool.stop(grace_s=0.1)
            assert {host.outcomes[lease].status for lease in leases} == {OutcomeStatus.RETURNED}

    asyncio.run(scenario())
    assert not runner_processes()


DIES = """
import os
from ohmesh.handlers.declaration import agent

@agent
def die(code: int):
    os._exit(code)
"""

PARENT = """
import asyncio, sys
sys.path[:0] = [{root!r}, {source!r}]
from tests.unit.runners.runner_harness import Host, config
from ohmesh.runners.pool import ProcessRunnerPool

async def main():
    pool = ProcessRunnerPool(config("sleep", "block_async"))
    host = Host(pool)
    await pool.start(host.report, host.resize)
    host.grant("sleep", 600, timeout_ms=600_000)
    host.grant("block_async", 600, timeout_ms=600_000)
    await host.until(lambda: all(any(p.custody.running()[0] for p in g.processes) for g in pool._groups.values()))
    print(*pool.statistics().process_ids, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_no_process_outlives_a_killed_parent_even_while_user_code_blocks_it() -> None:
    program = PARENT.format(root=str(ROOT), source=str(ROOT / "src"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 3
        os.kill(parent.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, alive
    assert len(gone) == 3


def test_reports_are_made_after_run_has_returned() -> None:
    async def scenario() -> None:
        reported: list[Outcome] = []
        pool = ProcessRunnerPool(config("add"))
        await pool.start(reported.extend, lambda agent, slots: None)
        pool.run([Grant(1, "task-1", "nobody", payload(), 1, 1000)])
        assert not reported
        await asyncio.sleep(0)
        assert [outcome.lease for outcome in reported] == [1]
        await pool.stop(grace_s=0)

    asyncio.run(scenario())
