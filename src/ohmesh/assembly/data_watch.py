"""Looks after the data directory of a running mesh: mends the runtime file, and notices when the data are gone.

Deleted files go on working for whoever has them open, so without this a mesh would take tasks, acknowledge them, and
lose all of it at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ohmesh.assembly.data_directory import DataDirectory
from ohmesh.errors import EngineFailed

INTERVAL_S = 1.0


async def watch_data(data: DataDirectory, *, mend: Callable[[], None]) -> None:
    """Until cancelled; `mend` is called once in each interval. Raises EngineFailed when the data were removed."""
    mark = _identity(data)
    while True:
        await asyncio.sleep(INTERVAL_S)
        if _identity(data) != mark:
            raise EngineFailed(
                f"The data directory {data.root} was removed while the mesh was running; what it kept is gone.",
                hint="`ohmesh up` begins anew; what was submitted must be submitted again.",
            )
        mend()


def _identity(data: DataDirectory) -> tuple[int, int]:
    """Of the file that marks the directory as ours: it is not replaced once the mesh has been started."""
    try:
        found = data.mark.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_dev, found.st_ino
