"""The runner: where user code runs, which is never the process of a role.

For every grant that it takes, a runner reports exactly one outcome, within the grant's timeout and the grace, whatever
the user code does: return, raise, exit, fork, block for ever, or take its process with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ohmesh.model.agent import AgentSpec
from ohmesh.model.message import Progress, StreamItems
from ohmesh.model.task import Grant, Outcome

Report = Callable[[Sequence[Outcome]], None]
Resize = Callable[[str, int], None]
NoticeProgress = Callable[[Sequence[Progress]], None]
NoticeItems = Callable[[StreamItems], None]


class Runner(Protocol):
    """takes_envelopes: whether a grant may be an envelope (model.envelope). Its items are run one after the other, each
    within the grant's timeout. Its outcome is SUCCEEDED with the array of their values, or OPENED; RETURNED and
    CANCELLED mean that none of them was started."""

    takes_envelopes: bool

    async def start(self, report: Report, resize: Resize) -> list[AgentSpec]:
        """Warm up; from now on outcomes go to `report` in the loop. `resize(agent, slots)` says how many grants an
        agent can hold from now on (its measured duration decides). Returns what it runs: agents with bare names."""
        ...

    def watch_progress(self, notice: NoticeProgress) -> None:
        """Before start: what running tasks say of themselves goes to `notice`, the latest of each, some 10 times a
        second at most. Lossy, and never after the task's outcome."""
        ...

    def watch_items(self, notice: NoticeItems) -> None:
        """Before start: what streaming tasks yield goes to `notice`, all of it, in order, before the outcome."""
        ...

    def run(self, grants: Sequence[Grant]) -> None:
        """Take these; `grant.agent` is the bare name of an agent. Never blocks, never refuses: an unknown agent, or
        a runner that is stopping, reports RETURNED."""
        ...

    def cancel(self, leases: Sequence[int]) -> None:
        """Stop these: unstarted ones at once, async code by cancellation, the rest by killing after the grace.
        Their outcome is CANCELLED (or what they ended with before); innocents in a killed process are RETURNED."""
        ...

    async def stop(self, *, grace_s: float) -> None:
        """Hand back what has not started, wait `grace_s` for the rest, then kill; all outcomes are reported."""
        ...
