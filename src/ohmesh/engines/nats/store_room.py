"""Room for the store of the embedded server: whether it has run out, and whether there is some again.

A stream of nats-server 2.15 whose write failed once (a full disk, a quota, a broken disk) stores nothing more until
the server is started again, room or no room; it does not even answer a publication, while everything else goes on. So
its owner looks after it.

That it may have stopped storing is seen in two ways: its log speaks of an error of the file system, or less is free
than a few of its writes take (then there may have been no room for the line in the log either). That there is room is
not believed before a file of that size could be written, because quotas and broken disks show in no figure.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ohmesh.engines.nats.config import Notice

_FAILURES = tuple(
    os.strerror(number).lower().encode()
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)
)
_LOG_READ_BYTES = 1 << 16
_CHUNK = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """least_free_bytes: less is a shortage; it takes twice as much, and a trial, to end it.
    pause_ms: between two returns of room, so that a disk that only seems to be in order costs little."""

    least_free_bytes: int = 16 << 20
    look_interval_ms: int = 1_000
    pause_ms: int = 10_000


class StoreRoom:
    def __init__(self, data: Path, log_file: Path, config: RoomConfig, notice: Notice) -> None:
        self.is_short = False
        self._data = data
        self._log_file = log_file
        self._config = config
        self._notice = notice
        self._log_read = 0
        self._look_at_s = 0.0
        self._not_before_s = 0.0

    def watch_from_here(self) -> None:
        """A server begins: what its log said before is no news."""
        with contextlib.suppress(OSError):
            self._log_read = self._log_file.stat().st_size

    def is_due(self) -> bool:
        """Whether it is time to `look` again; cheap."""
        return time.monotonic() >= self._look_at_s

    def look(self) -> bool:
        """Whether a shortage has just ended: then the server is to be started anew. Blocks for a moment."""
        now_s = time.monotonic()
        self._look_at_s = now_s + self._config.look_interval_ms / 1000
        free_bytes = self._free_bytes()
        if not self.is_short and (free_bytes < self._config.least_free_bytes or self._has_failed()):
            self.is_short = True
            self._notice(
                f"the disk of {self._data} is full or fails ({free_bytes >> 20} MiB free): new tasks may be refused. "
                "What was acknowledged is kept; make room and the mesh goes on by itself"
            )
        if not self.is_short or now_s < self._not_before_s or not self._has_room(free_bytes):
            return False
        self.is_short = False
        self._not_before_s = now_s + self._config.pause_ms / 1000
        self._notice(f"there is room again at {self._data} ({free_bytes >> 20} MiB free)")
        return True

    def total_bytes(self) -> int:
        """The size of the whole file system; the store is bounded by it and by nothing else."""
        numbers = os.statvfs(self._data)
        return numbers.f_frsize * numbers.f_blocks

    def _free_bytes(self) -> int:
        try:
            numbers = os.statvfs(self._data)
        except OSError:  # the directory itself is gone, which others will say
            return self._config.least_free_bytes
        return numbers.f_frsize * numbers.f_bavail

    def _has_failed(self) -> bool:
        """Whether the server's log has spoken of a failed write since we last read it."""
        try:
            with self._log_file.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                begin = self._log_read if self._log_read <= end else 0  # it was rotated
                file.seek(max(begin, end - _LOG_READ_BYTES))
                said = file.read(_LOG_READ_BYTES).lower()
        except OSError:
            return False
        self._log_read = end
        return any(b"[err]" in line and any(what in line for what in _FAILURES) for line in said.splitlines())

    def _has_room(self, free_bytes: int) -> bool:
        if free_bytes < 2 * self._config.least_free_bytes:
            return False
        trial = self._data / ".room"
        try:
            with trial.open("wb", buffering=0) as file:
                for _ in range(0, self._config.least_free_bytes, len(_CHUNK)):
                    file.write(_CHUNK)
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                trial.unlink()
        return True
