"""What was removed is said to be so: a result that shows it as it was would read as if it were there still."""

from __future__ import annotations

from collections.abc import Callable

from ohmesh.cli.output import Output
from ohmesh.model.webhook import WebhookView
from ohmesh.operations.schedule_results import ScheduleDescription


def _show_schedule(one: ScheduleDescription, output: Output) -> None:
    output.data([{"schedule": one.name, "outcome": "removed", "kind": one.kind, "timing": one.timing}])


def _show_webhook(one: WebhookView, output: Output) -> None:
    output.data([{"webhook": one.id, "outcome": "removed", "told": one.delivered, "url": one.url}])


REMOVAL_FORMS: dict[str, Callable[..., None]] = {
    "schedules remove": _show_schedule,
    "webhooks remove": _show_webhook,
}
"""The form of a verb's result, where the verb removes."""
