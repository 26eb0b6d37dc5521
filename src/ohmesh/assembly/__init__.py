"""The composition root: the only place (with the simulator) that knows engines and runners, and puts them together.

    settings        which configs there are, and where a mesh keeps its data
    connection      engine, shape of the mesh, client
    node, worker    the two processes of a mesh, beside the engine
    api_server      the door for HTTP; api_access: the files that let people in
    supervisor      `ohmesh up`: engine, nodes and workers as children, kept alive, ended in order
    local           the same for a program or a test, in the background of its event loop

What others need is named here and imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ohmesh.assembly.connection import connect_client
    from ohmesh.assembly.local import start_local
    from ohmesh.assembly.node import run_node
    from ohmesh.assembly.settings import load_settings, resolve_settings
    from ohmesh.assembly.supervisor import run_supervisor
    from ohmesh.assembly.worker import run_worker

_HOMES = {
    "connect_client": "ohmesh.assembly.connection",
    "load_settings": "ohmesh.assembly.settings",
    "resolve_settings": "ohmesh.assembly.settings",
    "run_node": "ohmesh.assembly.node",
    "run_supervisor": "ohmesh.assembly.supervisor",
    "run_worker": "ohmesh.assembly.worker",
    "start_local": "ohmesh.assembly.local",
}

__all__ = [
    "connect_client",
    "load_settings",
    "resolve_settings",
    "run_node",
    "run_supervisor",
    "run_worker",
    "start_local",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    return value
