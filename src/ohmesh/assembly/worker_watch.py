"""One line for each worker that comes, goes or falls silent, for whoever runs the mesh in the foreground."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ohmesh.assembly.connection import connect_client
from ohmesh.config import Config
from ohmesh.errors import OhmeshError
from ohmesh.model.agent import HostView, Liveness

Notice = Callable[[str], None]

INTERVAL_S = 1.0
ANSWER_S = 3.0


async def watch_workers(config: Config, notice: Notice) -> None:
    """Until cancelled. What was there at the beginning is not news."""
    async with connect_client(config) as client:
        known: dict[str, Liveness] | None = None
        silence = ""
        while True:
            try:
                hosts = await client.requests.list_hosts(timeout_s=ANSWER_S)
            except OhmeshError as error:
                if not silence:
                    silence = error.message
                    notice(f"no answer from the dispatchers: {silence}")
            else:
                if silence:
                    notice("the dispatchers answer again")
                silence = ""
                for line in news(known, hosts) if known is not None else ():
                    notice(line)
                known = {host.host: host.liveness for host in hosts}
            await asyncio.sleep(INTERVAL_S)


def news(known: Mapping[str, Liveness], hosts: Sequence[HostView]) -> list[str]:
    """What changed since the last look, in words."""
    active = sum(host.liveness is Liveness.ACTIVE for host in hosts)
    total = f"{active} worker{'' if active == 1 else 's'} active"
    lines = []
    for host in hosts:
        if known.get(host.host) is host.liveness:
            continue
        if host.liveness is Liveness.ACTIVE:
            lines.append(f"worker {host.host} joined ({', '.join(host.kinds)}); {total}")
        elif host.host in known:
            lines.append(f"worker {host.host} is {host.liveness}; {total}")
    gone = known.keys() - {host.host for host in hosts}
    return lines + [
        f"worker {name} has left; {total}" for name in sorted(gone) if known[name] is Liveness.ACTIVE
    ]
