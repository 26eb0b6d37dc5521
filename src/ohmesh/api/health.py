"""/livez: the process answers. /readyz: the mesh answers too. Both without a token, as probes have none.

A probe that nobody may pay for costs the mesh nothing: the mesh is asked at most once a second, whoever asks.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from ohmesh.api.door import Door, json_response
from ohmesh.errors import OhmeshError

ASKED_EVERY_S = 1.0
PATIENCE_S = 2.0


class Readiness:
    """One question at a time; its answer is good for a second."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lock = asyncio.Lock()
        self._reason = ""
        self._asked_s = -ASKED_EVERY_S

    async def reason(self) -> str:
        """Why the mesh cannot be used now; "" when it can."""
        async with self._lock:
            if self._door.now_s() - self._asked_s >= ASKED_EVERY_S:
                self._reason = await self._ask()
                self._asked_s = self._door.now_s()
            return self._reason

    async def _ask(self) -> str:
        try:
            await self._door.mesh().requests.describe(timeout_s=PATIENCE_S)
        except OhmeshError as error:
            return error.message
        return ""


async def live(_request: Request) -> Response:
    return json_response({"status": "ok"})


async def ready(readiness: Readiness, request: Request) -> Response:
    """?verbose says what was looked at."""
    reason = await readiness.reason()
    document: dict[str, object] = {"status": "unavailable" if reason else "ok"}
    if "verbose" in request.query_params:
        document["checks"] = {"process": "ok", "mesh": reason or "ok"}
    headers = {"Retry-After": "1"} if reason else {}
    return json_response(document, status=503 if reason else 200, headers=headers)
