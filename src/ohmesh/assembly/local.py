"""A whole mesh in the background of a program, a notebook or a test: the supervisor without a terminal.

The same processes as `ohmesh up`, in a temporary data directory unless one is named; they end with the program, even
when it is killed.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence

from ohmesh.assembly.settings import load_settings
from ohmesh.assembly.supervisor import Notice, Supervisor
from ohmesh.errors import UsageError
from ohmesh.handlers.built_in import kinds_at_hand
from ohmesh.runners.place import is_runner_process

_logger = logging.getLogger("ohmesh.local")


@contextlib.asynccontextmanager
async def start_local(
    targets: Sequence[str] = (),
    *,
    workers: int = 1,
    data: str = "",
    settings: Mapping[str, object] | None = None,
    notice: Notice = _logger.info,
) -> AsyncIterator[Supervisor]:
    """Yield a running mesh; `connect_client(supervisor.config)` speaks to it. Leaving ends it in order.

    targets: what its workers do; nothing said, the built-in kinds.
    settings: any others, "section.key" -> value. A temporary data directory is removed at the end.
    UsageError inside a worker: it imports the script that starts it, and would start the next mesh, and so on.
    """
    if is_runner_process():
        raise UsageError(
            "A mesh was to be started where a worker imports this module.",
            hint="Put Mesh.local(...), and all that the script does, under `if __name__ == '__main__':`.",
        )
    temporary = "" if data else tempfile.mkdtemp(prefix="ohmesh-")
    flags = {
        "api.enabled": False,
        "engine.url": "",  # an engine that the environment or a file names is another mesh's
        **({"mesh.ledger": ""} if temporary else {}),
        **(settings or {}),
        "mesh.data": data or temporary,
        "mesh.workers": workers,
    }
    try:
        supervisor = Supervisor(load_settings(flags), targets=targets or kinds_at_hand(), notice=notice)
        try:
            await supervisor.start()
            yield supervisor
        finally:
            await supervisor.stop()
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
