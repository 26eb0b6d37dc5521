"""Warming up a runner, which may take as long as somebody's modules take to import: who is told to leave meanwhile does
not wait for that."""

from __future__ import annotations

import asyncio

from ohmesh.model.agent import AgentSpec
from ohmesh.ports.runner import Report, Resize, Runner


async def start_unless(
    leave: asyncio.Event, runner: Runner, report: Report, resize: Resize
) -> list[AgentSpec] | None:
    """What the runner runs, or None where `leave` was set first: then it is stopped. Raises what its start raises."""
    starting = asyncio.ensure_future(runner.start(report, resize))
    leaving = asyncio.ensure_future(leave.wait())
    try:
        await asyncio.wait([starting, leaving], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            return starting.result()
        await _stop(starting, runner)
        return None
    except asyncio.CancelledError:
        await _stop(starting, runner)
        raise
    finally:
        leaving.cancel()


async def _stop(starting: asyncio.Task[list[AgentSpec]], runner: Runner) -> None:
    starting.cancel()
    await asyncio.wait([starting])
    await runner.stop(grace_s=0)
