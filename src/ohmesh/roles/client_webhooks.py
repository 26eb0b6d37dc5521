"""Questions about webhooks: asked of the role that delivers, repeated while it moves to another process.

Who adds one chooses its id and its secret, so that a question that is repeated adds one webhook.
"""

from __future__ import annotations

import asyncio

from ohmesh.errors import EngineUnavailable, InvalidArgument, MeshUnreachable, OhmeshError
from ohmesh.model.frame import decode_webhook_reply, encode_frame
from ohmesh.model.identity import encode_base32
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects
from ohmesh.model.webhook import AskWebhooks, WebhookAction, WebhookPage
from ohmesh.policies.standard_webhook import SECRET_BITS, format_secret
from ohmesh.roles.client_config import ClientConfig, ClientPorts
from ohmesh.roles.client_payload import error_of_code

TRY_S = 2.0
TEST_TRY_S = 20.0  # more than a receiver is waited for
_ID_BITS, _ID_CHARS = 50, 10


class WebhookRequests:
    def __init__(self, ports: ClientPorts, subjects: Subjects, *, config: ClientConfig, client: str) -> None:
        self._ports = ports
        self._subjects = subjects
        self._config = config
        self._client = client

    def new_id(self) -> str:
        return f"wh_{encode_base32(self._ports.entropy.bits(_ID_BITS), _ID_CHARS).lower()}"

    def new_secret(self) -> str:
        return format_secret(self._ports.entropy.bits(SECRET_BITS))

    async def ask(self, question: AskWebhooks, *, timeout_s: float | None = None) -> WebhookPage:
        """Raises what stands in the way, MeshUnreachable where nobody answers within the timeout."""
        loop = asyncio.get_running_loop()
        is_test = question.action is WebhookAction.TEST
        usual_s = max(self._config.request_timeout_ms / 1000, TEST_TRY_S if is_test else 0.0)
        timeout_s = usual_s if timeout_s is None else timeout_s
        deadline_s = loop.time() + timeout_s
        pause_s = self._config.request_pause_ms / 1000
        while True:
            try:
                return await self._request(question, TEST_TRY_S if is_test else TRY_S)
            except EngineUnavailable as error:
                reason: OhmeshError = error
            if loop.time() + pause_s >= deadline_s:
                raise MeshUnreachable(
                    f"Nobody answered for the webhooks of mesh {self._subjects.mesh!r} within {timeout_s:g} s "
                    f"({reason.message.rstrip('.')}).",
                    hint="Nodes need the extra `http` to tell webhooks: pip install 'ohmesh[http]'. `ohmesh doctor` "
                    "looks whether the mesh is up.",
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._config.request_try_ms / 1000)

    async def _request(self, question: AskWebhooks, try_s: float) -> WebhookPage:
        frame = encode_frame(self._client, 0, self._ports.clock.now_ms(), [question])
        reply = await self._ports.bus.request(self._subjects.webhooks(), frame, timeout_s=try_s)
        bodies = decode_webhook_reply(reply).bodies
        if len(bodies) != 1:
            raise InvalidArgument(f"A question was answered with {len(bodies)} bodies, not with one.")
        if isinstance(bodies[0], Problem):
            raise error_of_code(bodies[0].code, bodies[0].message)
        return bodies[0]
