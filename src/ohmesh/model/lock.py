"""Named locks: what their holders ask of the dispatcher of a lock's shard, and its answer.

They travel as the messages of message.py do: tagged, extended at their ends only.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class LockAction(IntEnum):
    TAKE = 1  # hold it, or wait for it; asked again, it renews what is held and keeps the place of what waits
    RENEW = 2
    RELEASE = 3  # the owner lets go, or waits no longer
    FORCE = 4  # whoever holds it, does no more
    LIST = 5


class LockOutcome(IntEnum):
    HELD = 1
    WAITING = 2  # another holds it; ask again
    NOT_HELD = 3  # not by the one who asks, not any more, or by nobody
    LISTED = 4


class AskLock(Struct, array_like=True, frozen=True, gc=False, tag=56):
    """`owner` names one holding or wait: the same in each question about it. `holder`: who that is, for people.

    waited_ms: since when it has waited, so that a new dispatcher lines waiters up as they came. hold_ms: answer WAITING
        after this long at the latest, at once when it is taken. token: what RENEW is about.
    """

    action: LockAction
    name: str = ""
    owner: str = ""
    holder: str = ""
    ttl_ms: int = 0
    token: int = 0
    waited_ms: int = 0
    hold_ms: int = 0


class LockView(Struct, array_like=True, frozen=True, gc=False):
    """A lock that is held. Times are mesh time; it ends at `ends_ms` unless it is renewed. `waiting`: how many wait."""

    name: str
    holder: str
    token: int
    ttl_ms: int
    taken_ms: int
    ends_ms: int
    waiting: int = 0


class LockAnswer(Struct, array_like=True, frozen=True, gc=False, tag=50):
    """`locks`: the one that was asked about, where it is held (with FORCE: was held); with LIST all, up to a bound."""

    outcome: LockOutcome
    token: int = 0
    locks: list[LockView] = []
    total: int = 0
    mesh_ms: int = 0
