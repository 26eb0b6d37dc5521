"""What happened in a run: the last lines in words, and one digest over all of them.

Two runs of one seed have equal digests, in any interpreter with any PYTHONHASHSEED; a digest that differs means that
something read a clock, an address or a hash.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import deque
from collections.abc import Callable


class Trace:
    """A ring of `kept_lines`; older lines live on in the digest only."""

    def __init__(self, now: Callable[[], float], *, kept_lines: int) -> None:
        self.count = 0
        self._now = now
        self._lines: deque[str] = deque(maxlen=kept_lines)
        self._hash = hashlib.blake2b(digest_size=16)

    def record(self, what: str, where: str, data: bytes = b"") -> None:
        self.count += 1
        content = f" {len(data)} bytes {zlib.crc32(data):08x}" if data else ""
        line = f"{self._now():.6f} {what} {where}{content}\n"
        self._hash.update(line.encode())
        self._lines.append(line)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def lines(self, last: int = 0) -> list[str]:
        """The kept lines, or the last few of them."""
        kept = [line.rstrip("\n") for line in self._lines]
        return kept[-last:] if last else kept
