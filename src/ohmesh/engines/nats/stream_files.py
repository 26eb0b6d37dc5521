"""That a stream exists, brought to the disk.

With `interval` the server syncs what streams hold once a second, and never the files that describe them. Until the
system writes those by itself, half a minute later, a power cut leaves streams that the server does not take up again,
whatever they held: a whole log is gone, and with the bucket of the state every lease.
"""

from __future__ import annotations

import os
from pathlib import Path

_DESCRIPTIONS = "jetstream/*/streams/*/meta.*"


def sync_streams(store: Path) -> None:
    """Sync what describes each stream in `store`, and the directories on the way there. Raises OSError."""
    files = list(store.glob(_DESCRIPTIONS))
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(store.parent)}
    for path in [*files, *folders]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
