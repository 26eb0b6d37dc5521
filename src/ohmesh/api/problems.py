"""Every refusal of the door as a problem (RFC 9457, application/problem+json).

type      the address of a page about the code, at this server
title     the same for every problem of a code;  detail: what happened this time, with the values
status    that of the error tree
code, hint, retryable: as in Python and on the command line; task_id, state, excerpt where there are such
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from ohmesh.api.catalogue import catalogue
from ohmesh.errors import (
    Backpressure,
    InvalidSelector,
    OhmeshError,
    ResultTimeout,
    TaskError,
    TokenRefused,
    TooManyRequests,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1  # where the error does not know better
_WITH_RETRY = frozenset({429, 503})


def problem_response(error: OhmeshError, *, base: str, headers: Mapping[str, str] | None = None) -> Response:
    """`base` is the address of this server as the caller knows it, without a slash at its end."""
    return Response(
        msgspec.json.encode(problem_of(error, base=base)),
        status_code=error.http_status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **_headers_of(error), **(headers or {})},
    )


def problem_of(error: OhmeshError, *, base: str) -> dict[str, object]:
    page = catalogue().get(error.code) or catalogue()[OhmeshError.code]
    extra: dict[str, object] = {}
    if isinstance(error, TaskError) and error.task_id:
        extra["task_id"] = error.task_id
    if isinstance(error, ResultTimeout) and error.state:
        extra["state"] = error.state
    if isinstance(error, InvalidSelector) and error.excerpt:
        extra["excerpt"] = error.excerpt
    return {
        "type": f"{base}/errors/{page.code}",
        "title": page.title,
        "status": error.http_status,
        "detail": error.message,
        "code": page.code,
        "hint": error.hint or page.advice,
        "retryable": error.retryable,
        **extra,
    }


def _headers_of(error: OhmeshError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, Backpressure | TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_ms / 1000)))
    elif error.http_status in _WITH_RETRY or error.retryable:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, TokenRefused):
        headers["WWW-Authenticate"] = 'Bearer realm="ohmesh"'
    return headers


def defect(_error: BaseException) -> OhmeshError:
    """What a caller hears of a defect of ours: nothing of its inside."""
    return OhmeshError(
        "The door failed at this request; that is a defect of ohmesh.",
        hint="Whether it was done is not known: repeat it with the same Idempotency-Key.",
    )


class Problem(msgspec.Struct, frozen=True):
    """The schema of a problem, for the description of the door."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    retryable: bool
    task_id: str = ""
    state: str = ""
    excerpt: str = ""
