"""The verbs about webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ohmesh.model.webhook import AskWebhooks, WebhookAction, WebhookView
from ohmesh.operations import webhook_arguments as a
from ohmesh.roles.client import Client


class WebhookList(Struct, frozen=True):
    webhooks: list[WebhookView]

    def __iter__(self) -> Iterator[WebhookView]:
        return iter(self.webhooks)


class WebhookSecretMade(Struct, frozen=True):
    """`secret` is there where it was made here, and is told this once."""

    webhook: WebhookView
    secret: str = ""

    def __repr__(self) -> str:
        return f"<webhook {self.webhook.id} {self.webhook.url}>"


class WebhookTest(Struct, frozen=True):
    """`status` is what the receiver answered; 0 is not at all."""

    webhook_id: str
    is_taken: bool
    status: int
    took_ms: int
    failure: str = ""


async def add_webhook(client: Client, arguments: a.AddWebhook) -> WebhookSecretMade:
    """It is told of what happens from now on."""
    asking = client.webhooks
    secret = arguments.secret.strip() or asking.new_secret()
    question = AskWebhooks(
        WebhookAction.ADD,
        asking.new_id(),
        arguments.address,
        arguments.selector,
        secret,
        arguments.allow_private,
    )
    page = await asking.ask(question)
    return WebhookSecretMade(page.webhooks[0], "" if arguments.secret else secret)


async def list_webhooks(client: Client, _arguments: a.ListWebhooks) -> WebhookList:
    return WebhookList((await client.webhooks.ask(AskWebhooks(WebhookAction.LIST))).webhooks)


async def get_webhook(client: Client, arguments: a.OneWebhook) -> WebhookView:
    return await _asked(client, WebhookAction.LIST, arguments)


async def remove_webhook(client: Client, arguments: a.OneWebhook) -> WebhookView:
    return await _asked(client, WebhookAction.REMOVE, arguments)


async def pause_webhook(client: Client, arguments: a.OneWebhook) -> WebhookView:
    return await _asked(client, WebhookAction.PAUSE, arguments)


async def resume_webhook(client: Client, arguments: a.OneWebhook) -> WebhookView:
    return await _asked(client, WebhookAction.RESUME, arguments)


async def rotate_webhook(client: Client, arguments: a.RotateWebhook) -> WebhookSecretMade:
    """The secret before signs beside the new one for a day."""
    secret = arguments.secret.strip() or client.webhooks.new_secret()
    page = await client.webhooks.ask(AskWebhooks(WebhookAction.ROTATE, arguments.webhook_id, secret=secret))
    return WebhookSecretMade(page.webhooks[0], "" if arguments.secret else secret)


async def try_webhook(client: Client, arguments: a.OneWebhook) -> WebhookTest:
    page = await client.webhooks.ask(AskWebhooks(WebhookAction.TEST, arguments.webhook_id))
    return WebhookTest(arguments.webhook_id, not page.failure, page.status, page.took_ms, page.failure)


async def _asked(client: Client, action: WebhookAction, arguments: a.OneWebhook) -> WebhookView:
    return (await client.webhooks.ask(AskWebhooks(action, arguments.webhook_id))).webhooks[0]
