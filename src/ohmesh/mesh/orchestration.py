"""Dispatching one task to the node that should do it, and staying with it until the work is done.

    agents that can do it -> alive, breaker not open -> best score (policy `classic`) -> there, and nowhere else
                                        ^                                                  |
                                        `---- the next best, when the node is gone --------'

The task itself is one of the queue, so all that is promised of tasks holds: it is durable once it is accepted, retried
as its kind says, its result committed once. It requires its host by name; when that host is gone it is cancelled
and dispatched to the next best node. A program that ends meanwhile leaves its tasks where they were dispatched to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument, MeshUnreachable, OhmeshError, TaskError
from ohmesh.mesh.async_mesh import AsyncMesh
from ohmesh.mesh.node_records import NodeRecord, NodeRecords, OrchestrationConfig, is_alive
from ohmesh.model.agent import AgentView, host_capability
from ohmesh.model.priority import Priority, parse_priority
from ohmesh.model.task import TaskResult, TaskState
from ohmesh.policies.breaker import BreakerEvent, BreakerState
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import value_of

POLICY = "classic"
_NAMED = 3
_CALLERS_FAULT = "ArgumentsRefused"  # says nothing of the node


class OrchestrationResult(Struct, frozen=True):
    """How a dispatched task ended. `success`: the work was done and its result is committed; never merely queued.

    selected_node: the node of the best score. dispatched_to: the node that the task was last sent to and that did the
    work if it was done, "" when it was sent nowhere; another one than `selected_node` after a fallback.
    cost_optimal_node: of the nodes that can do it the cheapest. No node declares a price yet, so all cost the same,
    ties go to the best score, and it is `selected_node`.
    circuit_state: of the breaker of `dispatched_to` (else of `selected_node`) after the work.
    latency_ms: from sending the task to that node until its end was heard, by this program's monotonic clock; None
    when no work was done. error: None exactly when it succeeded. value: what the agent returned.
    """

    task_id: str
    task_type: str
    selected_node: str
    cost_optimal_node: str
    dispatched_to: str
    circuit_state: str
    success: bool
    error: str | None
    latency_ms: float | None
    value: Annotated[object, Meta(extra_json_schema={"title": "any JSON value"})] = None
    policy: str = POLICY


class OrchestrationMetrics(Struct, frozen=True):
    """avg_latency_ms: the mean of the nodes' moving averages; None before any work was done."""

    nodes_active: int
    circuit_breakers_open: int
    queue_depth: int
    avg_latency_ms: float | None


class Try(Struct, frozen=True):
    """One task on one node. `end` is None when the node was gone before it ended."""

    task_id: str
    node: str
    end: TaskResult | None
    latency_ms: float


class Orchestration:
    """For one event loop; MeshOrchestrator is the same for every thread."""

    def __init__(self, mesh: AsyncMesh, config: OrchestrationConfig | None = None) -> None:
        self.config = config or OrchestrationConfig()
        self.nodes = NodeRecords(mesh, self.config)
        self.total = 0
        self.successes = 0
        self._mesh = mesh
        self._running: set[asyncio.Task[object]] = set()
        self._is_closed = False

    async def dispatch(
        self, task: object, task_type: str, priority: Priority | str | int = Priority.NORMAL
    ) -> OrchestrationResult:
        """Have `task` (the agent's one argument) done, and return how that ended, failures too.

        task_type: a kind, or a capability of agents of any kind. Raises InvalidArgument, PayloadTooLarge, and
        MeshUnreachable or Backpressure when the mesh cannot take it now.
        """
        if not task_type:
            raise InvalidArgument("A task has a type.", hint="Give task_type: a kind, or a capability.")
        ours = asyncio.current_task()
        assert ours is not None, "a coroutine runs in a task"
        self._running.add(ours)
        try:
            result = await self._dispatch(task, task_type, parse_priority(priority))
        except asyncio.CancelledError:
            if not self._is_closed:
                raise
            raise MeshUnreachable(
                f"The orchestrator was closed while a task of type {task_type!r} was under way; it goes on."
            ) from None
        finally:
            self._running.discard(ours)
        self.total += 1
        self.successes += result.success
        return result

    async def circuit_states(self) -> dict[str, str]:
        await self.nodes.look()
        return {name: state.value for name, state in self.nodes.circuit_states().items()}

    async def metrics(self) -> OrchestrationMetrics:
        """Of the mesh as it is: live nodes, breakers that are OPEN, tasks that wait for a node."""
        await self.nodes.look()
        queues = (await self._mesh.status()).queues
        averages = self.nodes.latencies_ms().values()
        return OrchestrationMetrics(
            nodes_active=sum(map(is_alive, self.nodes.agents.values())),
            circuit_breakers_open=list(self.nodes.circuit_states().values()).count(BreakerState.OPEN),
            queue_depth=sum(queue.queued + queue.retrying for queue in queues),
            avg_latency_ms=sum(averages) / len(averages) if averages else None,
        )

    def transitions(self) -> list[BreakerEvent]:
        """Of the breakers, the latest last."""
        return list(self.nodes.events)

    async def close(self) -> None:
        """End what is under way; its callers hear MeshUnreachable, its tasks go on. The mesh stays open."""
        self._is_closed = True
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _dispatch(self, task: object, task_type: str, priority: Priority) -> OrchestrationResult:
        await self.nodes.look()
        ranking = self.nodes.ranking(task_type)
        if not ranking:
            await self.nodes.look(at_most_old_ms=0)  # one may just have come
            ranking = self.nodes.ranking(task_type)
        last: Try | None = None
        for agent in ranking:
            if self.nodes.is_gone(agent.agent) or not self.nodes.admits(agent.agent):
                continue
            last = await self._try(agent, task, task_type, priority)
            if last.end is not None:
                break
        return self._result(task_type, ranking, last)

    async def _try(self, agent: AgentView, task: object, task_type: str, priority: Priority) -> Try:
        record = self.nodes.record(agent.agent)
        requires = [host_capability(agent.worker)]
        if agent.kind != task_type:
            requires.append(task_type)
        trial = record.breaker.begin()
        record.active += 1
        record.dispatched += 1
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            handle = await self._mesh.submit(agent.kind, task, priority=priority, requires=requires)
            end = await self._end(handle, agent.agent)
        except BaseException:
            record.breaker.abandoned(trial=trial)
            raise
        finally:
            record.active -= 1
        tried = Try(handle.id, agent.agent, end, round((loop.time() - began_s) * 1000, 3))
        self._judge(record, tried, trial=trial)
        return tried

    async def _end(self, handle: TaskHandle, node: str) -> TaskResult | None:
        """Its end; None when the node was gone before, and the task is cancelled."""
        waiting = asyncio.ensure_future(handle.end())
        try:
            while True:
                await asyncio.wait([waiting], timeout=self.config.watch_s)
                if waiting.done():
                    return waiting.result()
                with suppress(OhmeshError):  # nobody answers now: it is looked at again after the next wait
                    if await self._was_taken_back(handle, node):
                        return None
        finally:
            waiting.cancel()

    async def _was_taken_back(self, handle: TaskHandle, node: str) -> bool:
        await self.nodes.look()
        if not self.nodes.is_gone(node):
            return False
        return handle.id in (await self._mesh.cancel(handle.id)).cancelled

    def _judge(self, record: NodeRecord, tried: Try, *, trial: int) -> None:
        """What the end says of the node: its breaker and its latency."""
        end, now_ms = tried.end, self.nodes.now_ms()
        if end is not None and end.state is TaskState.SUCCEEDED:
            record.measure(tried.latency_ms)
            self.nodes.note(record.breaker.succeeded(now_ms, trial=trial))
        elif end is not None and _says_nothing(end):
            record.breaker.abandoned(trial=trial)
        else:
            self.nodes.note(record.breaker.failed(now_ms, trial=trial))

    def _result(self, task_type: str, ranking: Sequence[AgentView], last: Try | None) -> OrchestrationResult:
        selected = ranking[0].agent if ranking else ""
        node = last.node if last else selected
        error, value = self._outcome(task_type, ranking, last)
        return OrchestrationResult(
            task_id=last.task_id if last else "",
            task_type=task_type,
            selected_node=selected,
            cost_optimal_node=selected,
            dispatched_to=last.node if last else "",
            circuit_state=self.nodes.record(node).breaker.state.value if node else "",
            success=error is None,
            error=error,
            latency_ms=last.latency_ms if last and last.end and last.end.attempts else None,
            value=value,
        )

    def _outcome(
        self, task_type: str, ranking: Sequence[AgentView], last: Try | None
    ) -> tuple[str | None, object]:
        """Why it failed (None: it did not), and the value."""
        if not ranking:
            return f"No node that is alive does {task_type!r}.", None
        if last is None:
            return self._refusal(task_type, ranking), None
        if last.end is None:
            return f"{last.node} was gone before task {last.task_id} ended, and no other node was left.", None
        try:
            return None, value_of(last.end)
        except TaskError as failure:
            return failure.message, None

    def _refusal(self, task_type: str, ranking: Sequence[AgentView]) -> str:
        now_ms = self.nodes.now_ms()
        wait_ms = min(self.nodes.record(one.agent).breaker.retry_after_ms(now_ms) for one in ranking)
        when = f"the first is tried again in {wait_ms / 1000:.0f} s" if wait_ms else "trials are under way"
        names = ", ".join(one.agent for one in ranking[:_NAMED])
        return f"The breakers of all {len(ranking)} nodes that do {task_type!r} refuse it ({names}); {when}."


def _says_nothing(end: TaskResult) -> bool:
    """Cancelled by somebody, or refused for its arguments: the node is not to blame."""
    return end.state is TaskState.CANCELLED or (
        end.failure is not None and end.failure.kind == _CALLERS_FAULT
    )
