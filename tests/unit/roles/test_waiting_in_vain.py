"""Who waits for a task of a kind that nobody runs hears so after a while, once for each kind."""

from __future__ import annotations

import asyncio

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import Accepted
from ohmesh.roles.step_messages import client_messages
from ohmesh.simulator.run import run_virtual
from tests.unit.protocols.queue.shard_driver import ShardDriver
from tests.unit.roles.scripted_dispatcher import TEXT, Notices, ScriptedDispatcher, start_client


def unserved(driver: ShardDriver, *task_ids: str, kind: str) -> list[str]:
    """What the acceptance of these says."""
    before = len(driver.steps)
    driver.submit(*task_ids, kind=kind)
    messages = [
        message
        for step in driver.steps[before:]
        for news in step.clients.values()
        for message in client_messages(news)
    ]
    return [kind for message in messages if isinstance(message, Accepted) for kind in message.unserved]


def test_an_acceptance_names_the_kinds_that_no_worker_runs_that_is_here() -> None:
    driver = ShardDriver()
    assert unserved(driver, "a", kind="kind") == ["kind"]
    driver.join(slots=0)
    assert unserved(driver, "b", kind="kind") == [], "busy or not, somebody runs it"
    assert unserved(driver, "c", kind="knid") == ["knid"]
    driver.take_over()
    assert unserved(driver, "d", kind="kind") == [], "the log knows, before any host has reported again"
    driver.report("host", specs=[AgentSpec("host/agent", "kind", (), 1)], leaving=True)
    assert unserved(driver, "e", kind="kind") == ["kind"]


def test_who_awaits_such_a_task_is_told_once_and_not_at_once() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        dispatcher = ScriptedDispatcher(cluster.connect("dispatcher"))
        dispatcher.unserved = ["text"]
        await dispatcher.start()
        notices = Notices()
        client = await start_client(cluster, notice=notices)
        handles = [await client.submit(TEXT) for _ in range(3)]
        await asyncio.sleep(10)
        assert list(notices) == [], "nobody waits for one"
        waiting = [asyncio.create_task(handle.end()) for handle in handles]
        await asyncio.sleep(5)
        assert [("'text'" in notice, handles[0].id in notice) for notice in notices] == [(True, True)]
        for handle in handles:
            dispatcher.finish(handle.id)
        await asyncio.gather(*waiting)
        await client.close()

    run_virtual(main)
