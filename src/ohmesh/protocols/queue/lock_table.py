"""The locks of a shard as its log has them: who holds which, under which token.

A token is higher than every one before in its shard, and so for its lock: it is the microsecond of mesh time in which
it was given out, or one more than the last. The time is in it so that tokens go on rising where a log is begun anew, or
has lost its tail in a power cut.
"""

from __future__ import annotations

from msgspec import Struct

from ohmesh.errors import LogCorrupt
from ohmesh.protocols.queue import rows as r


class LockRecord(Struct, array_like=True, frozen=True, gc=False):
    """A lock that is held."""

    name: str
    owner: str
    token: int
    ttl_ms: int
    taken_ms: int
    holder: str = ""


class LockTable:
    def __init__(self) -> None:
        self.held: dict[str, LockRecord] = {}
        self.last_token = 0

    def next_token(self, at_ms: int) -> int:
        return max(self.last_token + 1, at_ms * 1_000)

    def apply(self, row: r.LockTaken | r.LockReleased) -> None:
        held = self.held.get(row.name)
        if isinstance(row, r.LockReleased):
            if held is None or held.token != row.token:
                raise LogCorrupt(
                    f"Lock {row.name!r} was released with token {row.token}, which does not hold it."
                )
            del self.held[row.name]
            return
        if held is not None or row.token <= self.last_token:
            raise LogCorrupt(f"Lock {row.name!r} was taken with token {row.token} after {self.last_token}.")
        self.last_token = row.token
        self.held[row.name] = LockRecord(row.name, row.owner, row.token, row.ttl_ms, row.at_ms, row.holder)
