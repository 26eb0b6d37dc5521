"""Webhooks: who is told of events over HTTP, and how it goes.

A record stands in `state` under webhook.<id>, secrets included; views of it carry none. Messages travel between a
client and the role that delivers.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct

WEBHOOK_PREFIX = "webhook."


class WebhookState(StrEnum):
    ACTIVE = "active"
    FAILING = "failing"  # active, and the last attempt was in vain
    PAUSED = "paused"


class WebhookSecret(Struct, frozen=True):
    """`until_ms`: another one has taken its place, and it signs beside that until then; 0 is the present one."""

    key: str
    until_ms: int = 0

    def __repr__(self) -> str:
        return "WebhookSecret(...)"


class WebhookRecord(Struct, frozen=True):
    """`cursor`: behind the last event that is done. `pause_reason` is there while it is paused. Times are UTC ms."""

    id: str
    url: str
    filter: str
    secrets: tuple[WebhookSecret, ...]
    allow_private: bool = False
    created_ms: int = 0
    cursor: str = ""
    pause_reason: str = ""
    failing_since_ms: int = 0
    failure: str = ""
    delivered: int = 0
    delivered_ms: int = 0
    reached_ms: int = 0


class WebhookView(Struct, frozen=True):
    """`reached_ms`: the time of the last event that is done. `failure`: of the last attempt, while it fails."""

    id: str
    url: str
    state: WebhookState
    reason: str = ""
    filter: str = ""
    delivered: int = 0
    delivered_ms: int = 0
    failing_since_ms: int = 0
    failure: str = ""
    reached_ms: int = 0
    created_ms: int = 0
    allow_private: bool = False
    cursor: str = ""
    secrets: int = 1


def view_of(record: WebhookRecord) -> WebhookView:
    state = WebhookState.FAILING if record.failing_since_ms else WebhookState.ACTIVE
    return WebhookView(
        record.id,
        record.url,
        WebhookState.PAUSED if record.pause_reason else state,
        record.pause_reason,
        record.filter,
        record.delivered,
        record.delivered_ms,
        record.failing_since_ms,
        record.failure,
        record.reached_ms,
        record.created_ms,
        record.allow_private,
        record.cursor,
        len(record.secrets),
    )


class WebhookAction(IntEnum):
    LIST = 0  # all, or the one of `webhook_id`
    ADD = 1
    REMOVE = 2
    PAUSE = 3
    RESUME = 4
    TEST = 5
    ROTATE = 6  # `secret` from now on, the one before for a while beside it


class AskWebhooks(Struct, array_like=True, frozen=True, tag=74):
    """Safe to repeat, also ADD: who asks chooses the id."""

    action: WebhookAction
    webhook_id: str = ""
    url: str = ""
    filter: str = ""
    secret: str = ""
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"AskWebhooks({self.action!r}, {self.webhook_id!r})"


class WebhookPage(Struct, array_like=True, frozen=True, tag=75):
    """As they stand now, or stood when they were removed. Of TEST: what was answered and how soon; 0 is no answer."""

    webhooks: list[WebhookView]
    status: int = 0
    failure: str = ""
    took_ms: int = 0
