"""Webhooks as people read them."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ohmesh.cli.durations import duration
from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.output import Output
from ohmesh.model.webhook import WebhookView
from ohmesh.operations.moments import written
from ohmesh.operations.webhooks import WebhookList, WebhookSecretMade, WebhookTest

WEBHOOK_COLUMNS = ("webhook", "state", "told", "last", "filter", "url")


def _show_webhooks(listed: WebhookList, output: Output) -> None:
    now_ms = time.time_ns() // 1_000_000
    rows = [
        {
            "webhook": one.id,
            "state": one.state,
            "told": one.delivered,
            "last": f"{duration(now_ms - one.delivered_ms)} ago" if one.delivered_ms else "never",
            "filter": one.filter,
            "url": one.url,
        }
        for one in listed
    ]
    if rows:
        output.data(rows, columns=WEBHOOK_COLUMNS)
        for one in listed:
            if one.reason or one.failure:
                output.say(f"{one.id} is {one.state}: {one.reason or one.failure}")
    else:
        output.say("no webhooks; `ohmesh webhooks add URL` adds one")


def _show_webhook(one: WebhookView, output: Output) -> None:
    record: dict[str, object] = msgspec.to_builtins(one)
    now_ms = time.time_ns() // 1_000_000
    for name in [name for name in record if name.endswith("_ms")]:
        at_ms = record.pop(name)
        assert isinstance(at_ms, int)
        shown = (
            f"{written(at_ms // 1000 * 1000)}, {duration(max(0, now_ms - at_ms))} ago" if at_ms else "never"
        )
        record[name.removesuffix("_ms")] = shown
    output.data(record)


def _show_secret(made: WebhookSecretMade, output: Output) -> None:
    output.data(made.webhook.id)
    if made.secret:
        output.data(made.secret)
        output.say("the line above is its secret, which is printed this once: give it to the receiver")


def _show_test(test: WebhookTest, output: Output) -> None:
    if test.is_taken:
        output.data(f"taken: {test.status} after {test.took_ms} ms")
    else:
        output.error(f"Not taken: {test.failure}.")


def _judge_test(test: WebhookTest) -> ExitCode:
    return ExitCode.OK if test.is_taken else ExitCode.FAILED


def _fine(_result: object) -> ExitCode:
    return ExitCode.OK


WEBHOOK_FORMS: dict[type, tuple[Callable[..., None], Callable[..., ExitCode]]] = {
    WebhookView: (_show_webhook, _fine),
    WebhookList: (_show_webhooks, _fine),
    WebhookSecretMade: (_show_secret, _fine),
    WebhookTest: (_show_test, _judge_test),
}
