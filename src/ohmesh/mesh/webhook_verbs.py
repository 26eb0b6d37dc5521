"""The verbs about webhooks as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import Iterable

from ohmesh.model.webhook import WebhookView
from ohmesh.operations import webhook_arguments as a
from ohmesh.operations import webhooks as operations
from ohmesh.operations.parameter import parse_arguments
from ohmesh.operations.webhooks import WebhookList, WebhookSecretMade, WebhookTest
from ohmesh.roles.client import Client


class WebhookVerbs:
    """`client` is the role underneath."""

    client: Client

    async def add_webhook(
        self,
        address: str,
        *,
        types: Iterable[str] = (),
        filter: str = "",  # noqa: A002 - the word of every door
        secret: str = "",
        allow_private: bool = False,
    ) -> WebhookSecretMade:
        """Tell an address of events, from now on; the answer has the secret where it was made here.

        types: such as "task.dead" or "worker.*"; filter: a selector of events. allow_private: it may be on this machine
        or in a private network.
        """
        given = {
            "address": address,
            "types": list(types),
            "filter": filter,
            "secret": secret,
            "allow_private": allow_private,
        }
        return await operations.add_webhook(self.client, parse_arguments(a.AddWebhook, given))

    async def webhooks(self) -> WebhookList:
        """Who is told, how far, and what fails."""
        return await operations.list_webhooks(self.client, a.ListWebhooks())

    async def webhook(self, webhook_id: str) -> WebhookView:
        """Raises UnknownWebhook, as all that name one."""
        return await operations.get_webhook(self.client, a.OneWebhook(webhook_id=webhook_id))

    async def test_webhook(self, webhook_id: str) -> WebhookTest:
        """Send it an event that means nothing, also while it is paused; what was answered."""
        return await operations.try_webhook(self.client, a.OneWebhook(webhook_id=webhook_id))

    async def pause_webhook(self, webhook_id: str) -> WebhookView:
        """Tell it nothing for now; it keeps its place."""
        return await operations.pause_webhook(self.client, a.OneWebhook(webhook_id=webhook_id))

    async def resume_webhook(self, webhook_id: str) -> WebhookView:
        """Go on where it was, as far as the logs reach back."""
        return await operations.resume_webhook(self.client, a.OneWebhook(webhook_id=webhook_id))

    async def rotate_webhook(self, webhook_id: str, *, secret: str = "") -> WebhookSecretMade:
        """Another secret; the one before signs beside it for a day."""
        return await operations.rotate_webhook(
            self.client, a.RotateWebhook(webhook_id=webhook_id, secret=secret)
        )

    async def remove_webhook(self, webhook_id: str) -> WebhookView:
        """Tell it nothing any more; how it stood at the end."""
        return await operations.remove_webhook(self.client, a.OneWebhook(webhook_id=webhook_id))
