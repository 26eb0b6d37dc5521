"""Handing in many tasks to a running mesh from a test, and counting in the raw log what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ohmesh.assembly.audit import Audit, audit_log
from ohmesh.assembly.connection import connect_engine
from ohmesh.config import Config
from ohmesh.errors import OhmeshError
from ohmesh.model.subject import Subjects
from ohmesh.roles.client import Client, TaskRequest
from ohmesh.roles.client_handle import TaskHandle
from ohmesh.roles.client_payload import encode_arguments

END_S = 60.0


@dataclass
class HandedIn:
    """What was acknowledged, and what the others were told instead."""

    handles: list[TaskHandle] = field(default_factory=list)
    errors: list[OhmeshError] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [handle.id for handle in self.handles]


def request(client: Client, kind: str, *arguments: object, **options: object) -> TaskRequest:
    payload = encode_arguments(arguments, {}, client.config.payload_bytes)
    return TaskRequest(kind=kind, payload=payload, **options)  # type: ignore[arg-type]  # the caller's options


async def hand_in(
    client: Client, requests: Iterable[TaskRequest], *, timeout_s: float | None = None
) -> HandedIn:
    """All at once; returns when each was acknowledged or refused."""
    answers = await asyncio.gather(
        *(client.submit(each, timeout_s=timeout_s) for each in requests), return_exceptions=True
    )
    handed_in = HandedIn()
    for answer in answers:
        if isinstance(answer, TaskHandle):
            handed_in.handles.append(answer)
        elif isinstance(answer, OhmeshError):
            handed_in.errors.append(answer)
        else:
            raise answer
    return handed_in


async def states(handles: Sequence[TaskHandle], *, timeout_s: float = END_S) -> Counter[str]:
    """How they end, counted."""
    async with asyncio.timeout(timeout_s):
        ends = await asyncio.gather(*(handle.end() for handle in handles))
    return Counter(end.state.value for end in ends)


async def read_log(config: Config) -> Audit:
    async with connect_engine(config) as engine:
        return await audit_log(engine.log, Subjects(config.mesh.name), config.mesh.shards)
