"""A signal that comes while the command under a lock is just being begun."""

from __future__ import annotations

import asyncio
import signal

from ohmesh.cli.lock import _Signals


def test_it_ends_the_command_as_soon_as_there_is_one() -> None:
    async def scenario() -> int:
        signals = _Signals()
        signals.terminate()
        child = await asyncio.create_subprocess_exec("sleep", "60")
        signals.pass_to(child)
        return await asyncio.wait_for(child.wait(), 30)

    assert asyncio.run(scenario()) == -signal.SIGTERM
