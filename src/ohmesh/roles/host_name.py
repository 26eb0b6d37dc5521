"""One name, one host: whoever joins asks, on the subject of its name, whether somebody answers to it already.

A host that lives answers at once; where nobody listens the engine says so at once, so a host that is started anew after
it was killed does not wait. Two of one name would both be sent the same grants, and do them twice.
"""

from __future__ import annotations

from collections import deque

from ohmesh.errors import EngineUnavailable, InvalidArgument
from ohmesh.ports.bus import Bus

QUESTIONS_MAX = 64


class Answers:
    """Where this host is to answer; the oldest questions are forgotten, who asked them asks nobody else."""

    def __init__(self) -> None:
        self._replies: deque[str] = deque(maxlen=QUESTIONS_MAX)

    def owe(self, reply: str) -> None:
        self._replies.append(reply)

    async def give(self, bus: Bus, frame: bytes) -> None:
        while self._replies:
            reply = self._replies.popleft()
            try:
                await bus.publish(reply, frame)
            except EngineUnavailable:
                return  # whoever asked is not reached either


async def check_name_is_free(bus: Bus, subject: str, frame: bytes, *, host: str, timeout_s: float) -> None:
    """Raise InvalidArgument when a host that lives answers on the subject of this name."""
    try:
        await bus.request(subject, frame, timeout_s=timeout_s)
    except EngineUnavailable:
        return
    raise InvalidArgument(
        f"A worker named {host!r} is alive in this mesh.",
        hint="Give this one another --name, or end that one first.",
    )
