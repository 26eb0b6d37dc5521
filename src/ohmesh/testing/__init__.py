"""What you need to test your own agents and programs: a mesh without a server, with a clock and faults of your own.

    async with testing.mesh([shout]) as mesh:             # real time, in this process
        assert await mesh.call("shout", "hello") == "HELLO"

    async def scenario(mesh, control):                    # virtual time: an hour passes in moments
        handle = await mesh.submit("shout", "hello", delay=3600)
        control.kill_worker()
        await control.sleep(60)
        control.restart_worker()
        assert await handle.result() == "HELLO"

    testing.run(scenario, agents=[shout], seed=7)         # the same seed is the same run

The roles are those of production, over the memory engine. After a run in virtual time two promises are verified from
the raw log: no acknowledged task is lost, none has two committed results; PromiseBroken names the seed.
A fixture for pytest stands in `ohmesh.testing.pytest_plugin`. Everything is told in docs/testing.md.
"""

from __future__ import annotations

from ohmesh.errors import PromiseBroken
from ohmesh.simulator.faults import Fault, FaultKind, FaultOptions
from ohmesh.simulator.world import Report
from ohmesh.testing.control import Control
from ohmesh.testing.faults import CALM, Faults
from ohmesh.testing.in_memory import mesh, sync_mesh
from ohmesh.testing.virtual import RunOptions, run

__all__ = [
    "CALM",
    "Control",
    "Fault",
    "FaultKind",
    "FaultOptions",
    "Faults",
    "PromiseBroken",
    "Report",
    "RunOptions",
    "mesh",
    "run",
    "sync_mesh",
]
