"""The verbs about webhooks, as the list of all verbs has them."""

from __future__ import annotations

from ohmesh.operations.command import Command, Risk, Role

_ARGUMENTS = "ohmesh.operations.webhook_arguments:"
_RUN = "ohmesh.operations.webhooks:"
_VIEW = "ohmesh.model.webhook:WebhookView"
_ID = "wh_0k3x8ry2pm"

WEBHOOK_COMMANDS: tuple[Command, ...] = (
    Command(
        name="webhooks add",
        summary="Tell an address of events, from now on.",
        help="Each event is a CloudEvent in JSON, signed after Standard Webhooks, told at least once, in the order of "
        "`ohmesh events`. The secret is printed this once. docs/webhooks.md has a receiver.",
        example="ohmesh webhooks add https://example.org/hook --types task.dead --types worker.offline",
        arguments=_ARGUMENTS + "AddWebhook",
        result=_RUN + "WebhookSecretMade",
        run=_RUN + "add_webhook",
        risk=Risk.WRITE,
        idempotent=False,
        undo="webhooks remove",
        role=Role.ADMIN,
    ),
    Command(
        name="webhooks list",
        summary="List webhooks: who is told, how far, what fails.",
        example="ohmesh webhooks list",
        arguments=_ARGUMENTS + "ListWebhooks",
        result=_RUN + "WebhookList",
        run=_RUN + "list_webhooks",
    ),
    Command(
        name="webhooks get",
        summary="Show one webhook.",
        example=f"ohmesh webhooks get {_ID}",
        arguments=_ARGUMENTS + "OneWebhook",
        result=_VIEW,
        run=_RUN + "get_webhook",
    ),
    Command(
        name="webhooks test",
        summary="Send a webhook an event that means nothing, and show what is answered.",
        help="Also while it is paused. Exit code 1 when it was not taken.",
        example=f"ohmesh webhooks test {_ID}",
        arguments=_ARGUMENTS + "OneWebhook",
        result=_RUN + "WebhookTest",
        run=_RUN + "try_webhook",
        risk=Risk.WRITE,
        role=Role.OPERATOR,
    ),
    Command(
        name="webhooks pause",
        summary="Tell a webhook nothing for now.",
        help="It keeps its place: what happens meanwhile is told after `webhooks resume`, as far as the logs reach.",
        example=f"ohmesh webhooks pause {_ID}",
        arguments=_ARGUMENTS + "OneWebhook",
        result=_VIEW,
        run=_RUN + "pause_webhook",
        risk=Risk.WRITE,
        undo="webhooks resume",
        role=Role.OPERATOR,
    ),
    Command(
        name="webhooks resume",
        summary="Go on where a paused webhook was.",
        help="Where the logs do not reach back to there any more, the event shard.gap says what is left out.",
        example=f"ohmesh webhooks resume {_ID}",
        arguments=_ARGUMENTS + "OneWebhook",
        result=_VIEW,
        run=_RUN + "resume_webhook",
        risk=Risk.WRITE,
        undo="webhooks pause",
        role=Role.OPERATOR,
    ),
    Command(
        name="webhooks rotate",
        summary="Give a webhook another secret.",
        help="The one before signs beside it for a day, so the receiver may change when it likes. The new one is "
        "printed this once.",
        example=f"ohmesh webhooks rotate {_ID}",
        arguments=_ARGUMENTS + "RotateWebhook",
        result=_RUN + "WebhookSecretMade",
        run=_RUN + "rotate_webhook",
        risk=Risk.WRITE,
        idempotent=False,
        role=Role.ADMIN,
    ),
    Command(
        name="webhooks remove",
        summary="Tell a webhook nothing any more.",
        example=f"ohmesh webhooks remove {_ID} --yes",
        arguments=_ARGUMENTS + "OneWebhook",
        result=_VIEW,
        run=_RUN + "remove_webhook",
        risk=Risk.DESTRUCTIVE,
        confirmation="Remove webhook {webhook_id}, and with it its place and its secret?",
        looks_up="webhooks get",
        role=Role.ADMIN,
    ),
)
