"""When a process hands over what it holds beyond its fair share.

Not at once: a process that has just come needs a moment, and one that is killed as soon as it came needs nothing. Few
at a time. And what comes back, since nobody took it or its heir could not run it, is left here for longer each time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ohmesh.ports.clock import Clock
from ohmesh.protocols.membership.assignment import Assignment
from ohmesh.roles.process_config import ProcessConfig


class Handovers:
    def __init__(self, clock: Clock, *, process: str, config: ProcessConfig) -> None:
        self._clock = clock
        self._process = process
        self._config = config
        self._since_ms = 0
        self._returned = 0
        self._handed: dict[str, int] = {}

    def due(self, surplus: Mapping[str, str], *, unsettled: int) -> tuple[list[str], int]:
        """Roles to hand over now, and in how many milliseconds to look again (0: nothing to wait for).

        unsettled: roles that are on their way to somebody, or nobody's; they count among the few.
        """
        if not surplus:
            self._since_ms = 0
            return [], 0
        now_ms = self._clock.monotonic_ms()
        self._since_ms = self._since_ms or now_ms
        wait_ms = self._since_ms + self._patience_ms() - now_ms
        if wait_ms > 0:
            return [], wait_ms
        due = list(surplus)[: max(0, self._config.handover_roles - unsettled)]
        self._handed.update(dict.fromkeys(due, now_ms))
        return due, 0

    def claimed(self, roles: Iterable[str]) -> None:
        """We have claimed these; those that we had handed over came back."""
        returned = [role for role in roles if self._handed.pop(role, None) is not None]
        if returned:
            self._returned += 1
            self._since_ms = 0

    def observe(self, record: Assignment, running: Collection[str]) -> None:
        """What has stayed with another for long enough arrived."""
        oldest_ms = self._clock.monotonic_ms() - self._config.steady_ms
        for role, handed_ms in list(self._handed.items()):
            holding = record.holdings.get(role)
            if (
                handed_ms <= oldest_ms
                and role not in running
                and holding
                and holding.process != self._process
            ):
                del self._handed[role]
                self._returned = 0

    def _patience_ms(self) -> int:
        # The exponent is bounded too: it counts for as long as the process lives.
        return min(self._config.handover_max_ms, self._config.handover_ms << min(self._returned, 30))
