"""What each error code means: made from the tree in ohmesh.errors, with an advice for each code.

The `type` of a problem is the address of a page here, and docs/errors.md is the same catalogue in one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus

from msgspec import Struct

from ohmesh import errors

_DRAWN = re.compile(r"^[ |]*[|`]-- (\w+) +(.+)$", re.MULTILINE)

ADVICE = {
    "error": "A defect of ohmesh: please report it with what you sent. Whether the request was done is not known.",
    "usage": "Mend the request; sending it again unchanged cannot help.",
    "invalid_argument": "The message names the value and what is allowed. Mend it and send it again.",
    "invalid_selector": "The excerpt shows where. docs/selectors.md has the language, its fields and examples.",
    "payload_too_large": "Store the data where the agent can read it and pass its address.",
    "unknown_task": "Check the id. Ended tasks are forgotten after their retention.",
    "unknown_kind": "`ohmesh workers` shows the kinds that run here; start a worker that has it.",
    "unknown_conflict": "Check the id; `ohmesh conflicts list --ended` lists them.",
    "unknown_operation": "Check the id; `ohmesh ops` lists the latest. They are kept for a week.",
    "unknown_schedule": "`ohmesh schedules` lists those that there are.",
    "agent_definition": "The message names the function and what is wrong with it.",
    "engine": "Look at `ohmesh doctor`.",
    "engine_unavailable": "Try again after the time in Retry-After; `ohmesh doctor` says what is away.",
    "append_unresolved": "Try again with the same Idempotency-Key or key: it is one task, however often.",
    "sequence_conflict": "Another process writes there now. Try again.",
    "revision_conflict": "Somebody was faster. Read again, then decide.",
    "not_authorised": "The mesh does not know the key of this process. Run as the user who started the mesh.",
    "engine_in_use": "End the process that the message names, or choose another data directory.",
    "engine_failed": "The message says what the server said; `ohmesh doctor` looks for the cause.",
    "mesh": "Look at `ohmesh doctor`.",
    "mesh_unreachable": "Is the mesh up? Try again after the time in Retry-After. A submission may have been "
    "stored: repeat it with the same key.",
    "no_capable_agent": "The message says what nobody has, or how many who have it are away. Start or release one.",
    "backpressure": "The mesh is full. Try again after the time in Retry-After.",
    "submission_too_old": "Its key is no longer remembered. Look whether the task exists, then submit it anew.",
    "lock_timeout": "Wait for longer, or look who holds it: `ohmesh locks list`.",
    "lock_lost": "Another may hold it by now. Take it again and begin anew; docs/locks.md says what a token is for.",
    "fenced": "A newer process has taken over. Try again.",
    "log_corrupt": "The log on disk was changed by somebody. `ohmesh doctor` says where.",
    "not_trusted": "Enrol the key of who sent it, if you know them; otherwise somebody alters or repeats messages.",
    "task": "The message says how the task ended.",
    "task_failed": "Its failures, with tracebacks: GET /v1/tasks/{task_id}. Run it again: POST /v1/dlq/replay.",
    "task_timed_out": "Give it a longer timeout_s, or look why it hangs; POST /v1/dlq/replay runs it again.",
    "task_cancelled": "POST /v1/tasks/retry runs it again.",
    "unknown_webhook": "Check the id; `ohmesh webhooks` lists those that there are.",
    "stream_restarted": "Another attempt began. Read the stream again from its first item.",
    "stream_gap": "Items were lost that the task does not keep. Run it again, or let its handler keep them.",
    "result_timeout": "The task goes on. Ask again with the same id.",
    "request_refused": "Mend the request; sending it again unchanged cannot help.",
    "no_such_address": "GET /v1/docs lists the addresses.",
    "method_refused": "The header Allow names the methods. What reads is asked by GET, what changes by POST.",
    "body_refused": "The message says where the body cannot be read. A body is one JSON object.",
    "body_too_large": "Send less at once, or store the data elsewhere and pass its address.",
    "token_refused": "Send `Authorization: Bearer TOKEN`. The token is in the file api-token of the data directory, "
    "which `ohmesh up` names.",
    "host_refused": "Ask by a name of this machine, or start the door with --allow-host NAME.",
    "origin_refused": "Start the door with --allow-origin for a page that may ask.",
    "not_confirmed": 'Add "confirm": true to the body once you are sure.',
    "too_many_requests": "Wait as long as Retry-After says; RateLimit says how much is left.",
    "key_missing": "Send an Idempotency-Key of your own making, such as a UUID, and the same one when you repeat.",
    "key_reused": "A new request needs a new key; a repeated one the very same body.",
    "key_in_flight": "Wait as long as Retry-After says and repeat the request: it is answered as the first one was.",
    "simulation": "Only a simulated run says this; it cannot come from a mesh.",
    "simulation_stuck": "Only a simulated run says this: every task waits for another.",
    "simulation_too_long": "Only a simulated run says this: raise its bound, or look why it does not end.",
    "simulation_escape": "Only a simulated run says this: the code asked for real time, threads or sockets.",
    "promise_broken": "Only a simulated run says this: the seed in the message replays it.",
    "handler": "The agent said how its failure is to be treated.",
    "permanent": "The agent said that a retry cannot help. Mend the task or the agent.",
    "arguments_refused": "The message names the argument. Submit the task with arguments that fit.",
    "result_refused": "The agent returned what cannot be stored; the message says what.",
    "retry_later": "The agent asked for a later try; the mesh sees to it.",
}


class ErrorPage(Struct, frozen=True):
    """One code. `name` is its class in Python; `status` what HTTP says with it."""

    code: str
    name: str
    status: int
    is_retryable: bool
    meaning: str
    advice: str

    @property
    def title(self) -> str:
        """The meaning as a title, the same for every problem of this code."""
        return self.meaning[0].upper() + self.meaning[1:]

    @property
    def phrase(self) -> str:
        return f"{self.status} {HTTPStatus(self.status).phrase}"


@cache
def catalogue() -> dict[str, ErrorPage]:
    """Every code of the tree, in the tree's order."""
    drawn = dict(_DRAWN.findall(errors.__doc__ or ""))
    drawn["OhmeshError"] = "something failed that has no better name"
    return {
        error.code: ErrorPage(
            error.code,
            error.__name__,
            error.http_status,
            error.retryable,
            drawn[error.__name__],
            ADVICE[error.code],
        )
        for error in _tree(errors.OhmeshError)
    }


def markdown() -> str:
    """docs/errors.md."""
    return "\n".join([_HEAD, *map(_section, catalogue().values())])


def _tree(error: type[errors.OhmeshError]) -> Iterator[type[errors.OhmeshError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def _section(page: ErrorPage) -> str:
    again = "yes" if page.is_retryable else "no"
    return (
        f"## {page.code}\n\n{page.title}. `{page.name}` in Python, {page.phrase} over HTTP; worth repeating "
        f"unchanged: {again}.\n\n{page.advice}\n"
    )


_HEAD = """# Errors

One code in Python (`error.code`), on the command line (`--json`) and over HTTP (`code` of a problem, whose `type` is
the address of its section here, served by the door at `/errors/CODE`). Made from the tree in `src/ohmesh/errors.py`.
"""
