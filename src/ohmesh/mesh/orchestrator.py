"""MeshOrchestrator: one orchestrator for a process, for any thread and any event loop.

    orchestrator = MeshOrchestrator.get_instance()          # over the mesh that `ohmesh up` started here
    result = await orchestrator.dispatch(task="fix the parser", task_type="code", priority="high")
    if result.success: print(result.value, result.dispatched_to, result.latency_ms)

All of it lives in the event loop of a Mesh, in a thread of its own; what is called from outside is handed over.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import msgspec

from ohmesh.errors import MeshUnreachable, UsageError
from ohmesh.mesh.node_records import OrchestrationConfig, is_alive
from ohmesh.mesh.orchestration import POLICY, Orchestration, OrchestrationResult
from ohmesh.mesh.sync_mesh import Mesh
from ohmesh.model.priority import Priority


class MeshOrchestrator:
    """`dispatch` is awaited; what only looks (`get_...`) returns at once after asking the mesh, and blocks so long.

    `mesh` is closed with it.
    """

    _lock: ClassVar[threading.RLock] = threading.RLock()
    _instance: ClassVar[MeshOrchestrator | None] = None
    _said: ClassVar[tuple[object, ...]] = ()

    def __init__(self, mesh: Mesh, config: OrchestrationConfig | None = None) -> None:
        self.mesh = mesh
        self._is_closed = False
        self._orchestration = Orchestration(mesh.mesh, config)

    @classmethod
    def get_instance(
        cls,
        url: str = "",
        *,
        mesh: str = "",
        seed_file: str = "",
        data: str = "",
        opened: Mesh | None = None,
    ) -> MeshOrchestrator:
        """The one of this process; the first call makes it, with the arguments of Mesh.connect or an `opened` Mesh.

        Without arguments it is the one there is. Raises UsageError when it was made with others: call `reset` first.
        """
        said = (url, mesh, seed_file, data, opened)
        with MeshOrchestrator._lock:
            found = MeshOrchestrator._instance
            if found is None:
                if opened is None:
                    opened = Mesh.connect(url, mesh=mesh, seed_file=seed_file, data=data)
                found = MeshOrchestrator._instance = cls(opened)
                MeshOrchestrator._said = said
            elif any(said) and said != MeshOrchestrator._said:
                raise UsageError(
                    "This process has an orchestrator that was made with other arguments.",
                    hint="Call get_instance() without any, or MeshOrchestrator.reset() first.",
                )
            return found

    @classmethod
    def reset(cls) -> None:
        """Close the instance, if there is one; the next get_instance makes another."""
        with MeshOrchestrator._lock:
            found = MeshOrchestrator._instance
            if found is not None:
                found.close()

    async def dispatch(
        self, task: object, task_type: str, priority: Priority | str | int = Priority.NORMAL
    ) -> OrchestrationResult:
        """Have one task done by the node that should do it, and return how that ended; see Orchestration.dispatch.

        priority: critical, high, normal (medium), low (background). Cancelling it leaves the task where it is.
        """
        future = self.mesh.background.begin(self._orchestration.dispatch(task, task_type, priority))
        return await asyncio.wrap_future(future)

    def get_circuit_states(self) -> dict[str, str]:
        """CLOSED, OPEN or HALF_OPEN of every node that the mesh knows."""
        return self.mesh.background.run(self._orchestration.circuit_states())

    def get_metrics(self) -> dict[str, float | None]:
        """nodes_active, circuit_breakers_open, queue_depth, avg_latency_ms (None before any work was done)."""
        metrics = self.mesh.background.run(self._orchestration.metrics())
        return msgspec.structs.asdict(metrics)

    def get_status(self) -> dict[str, Any]:
        """All there is to know, as plain data: what was orchestrated, the mesh, the routing, the breakers."""
        return self.mesh.background.run(self._status())

    def close(self) -> None:
        """Close its mesh. Who waits for a dispatch hears MeshUnreachable; the tasks go on. Idempotent."""
        with MeshOrchestrator._lock:
            if MeshOrchestrator._instance is self:
                MeshOrchestrator._instance, MeshOrchestrator._said = None, ()
            if self._is_closed:
                return
            self._is_closed = True
        with suppress(MeshUnreachable):  # its mesh was closed before: nothing is under way there any more
            self.mesh.background.run(self._orchestration.close())
        self.mesh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.mesh!r}>"

    async def _status(self) -> dict[str, Any]:
        orchestration = self._orchestration
        metrics = await orchestration.metrics()
        nodes = orchestration.nodes
        total, successes = orchestration.total, orchestration.successes
        return {
            "orchestrator": {
                "total_orchestrated": total,
                "total_successes": successes,
                "total_failures": total - successes,
                "success_rate": successes / total if total else None,
            },
            "mesh": {
                "name": self.mesh.mesh.client.mesh,
                "nodes": {
                    "total": len(nodes.agents),
                    "active": metrics.nodes_active,
                    "inactive": len(nodes.agents) - metrics.nodes_active,
                },
                "queue_depth": metrics.queue_depth,
            },
            "routing": {
                "policy": POLICY,
                "active_nodes": sorted(name for name, one in nodes.agents.items() if is_alive(one)),
                "route_distribution": nodes.dispatched(),
                "latency_estimates": nodes.latencies_ms(),
            },
            "circuit_breakers": {
                "states": {name: state.value for name, state in nodes.circuit_states().items()},
                "open": metrics.circuit_breakers_open,
                "transitions": [msgspec.to_builtins(event) for event in orchestration.transitions()],
            },
            "avg_latency_ms": metrics.avg_latency_ms,
            "timestamp": datetime.now(UTC).isoformat(),
        }
