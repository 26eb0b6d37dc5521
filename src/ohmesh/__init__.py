"""ohmesh: one mesh for a fleet of agents.

    from ohmesh import Mesh, agent

    @agent(kind="shout")
    def shout(text: str) -> str: ...

    with Mesh.connect() as mesh:
        print(mesh.call("shout", "hello"))

The names below are the front door. Each is imported when it is first used, so `import ohmesh` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ohmesh.errors import (
        Backpressure,
        InvalidArgument,
        MeshUnreachable,
        OhmeshError,
        Permanent,
        ResultTimeout,
        RetryLater,
        TaskCancelled,
        TaskError,
        TaskFailed,
        TaskTimedOut,
        UnknownTask,
    )
    from ohmesh.handlers.declaration import agent
    from ohmesh.mesh import AsyncMesh, Mesh
    from ohmesh.mesh.orchestrator import MeshOrchestrator
    from ohmesh.model.complexity import Complexity
    from ohmesh.model.priority import Priority
    from ohmesh.model.task import TaskState
    from ohmesh.policies.failure import Backoff
    from ohmesh.runners.progress import report_progress

_HOMES = {
    "AsyncMesh": "ohmesh.mesh",
    "Backoff": "ohmesh.policies.failure",
    "Backpressure": "ohmesh.errors",
    "Complexity": "ohmesh.model.complexity",
    "InvalidArgument": "ohmesh.errors",
    "Mesh": "ohmesh.mesh",
    "MeshOrchestrator": "ohmesh.mesh.orchestrator",
    "MeshUnreachable": "ohmesh.errors",
    "OhmeshError": "ohmesh.errors",
    "Permanent": "ohmesh.errors",
    "Priority": "ohmesh.model.priority",
    "ResultTimeout": "ohmesh.errors",
    "RetryLater": "ohmesh.errors",
    "TaskCancelled": "ohmesh.errors",
    "TaskError": "ohmesh.errors",
    "TaskFailed": "ohmesh.errors",
    "TaskState": "ohmesh.model.task",
    "TaskTimedOut": "ohmesh.errors",
    "UnknownTask": "ohmesh.errors",
    "agent": "ohmesh.handlers.declaration",
    "report_progress": "ohmesh.runners.progress",
}

__all__ = [
    "AsyncMesh",
    "Backoff",
    "Backpressure",
    "Complexity",
    "InvalidArgument",
    "Mesh",
    "MeshOrchestrator",
    "MeshUnreachable",
    "OhmeshError",
    "Permanent",
    "Priority",
    "ResultTimeout",
    "RetryLater",
    "TaskCancelled",
    "TaskError",
    "TaskFailed",
    "TaskState",
    "TaskTimedOut",
    "UnknownTask",
    "agent",
    "report_progress",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ohmesh' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
