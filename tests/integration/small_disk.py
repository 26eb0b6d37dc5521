"""A disk that is full when a test says so: a file system in memory of a few megabytes, and a file that fills it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DISK_BYTES = 64 << 20


class SmallDisk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self, *, leave_bytes: int) -> None:
        """Take everything but so much, whatever others write meanwhile."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            file.write(bytes(max(0, shutil.disk_usage(self.root).free - leave_bytes)))

    def free(self) -> None:
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mounted on `folder`; only root may do that, and only Linux has it."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("a small disk is a tmpfs, which only root can mount")
    folder.mkdir()
    options = f"size={DISK_BYTES},mode=700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
