"""A request that is repeated with its Idempotency-Key is done once and answered alike.

After the IETF draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header-07):

    new key                        the request is done; an answer that says it was done (2xx) is kept
    known key, same request        the kept answer again, marked `Idempotent-Replayed: true`
    known key, other request       KeyReused (422)
    key of a request under way     KeyInFlight (409)
    no key where one is required   KeyMissing (400)

A refusal is not kept: the same key may try again. Answers live in this process, bounded by age, number and size, oldest
first; what has to outlive the process is the mesh's own memory of task keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.responses import Response

from ohmesh.api.config import ApiConfig
from ohmesh.errors import InvalidArgument, KeyInFlight, KeyMissing, KeyReused

HEADER = "Idempotency-Key"
KEY_CHARACTERS_MAX = 512
_KEPT_HEADERS = ("content-type", "location", "link")


class _Answer(Struct):
    """`status` is 0 while the first request is under way."""

    fingerprint: bytes
    ends_s: float
    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = {}


def task_key(caller: str, key: str, request: bytes) -> str:
    """The key of the task that this request submits: one caller's and one request's own, "" without a key.

    The mesh knows a key by kind alone. Were it the header's word, two callers who count from 1 would share their tasks.
    """
    if not key:
        return ""
    parts = (caller.encode(), key.encode(), request)
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return f"http-{hashlib.sha256(framed).hexdigest()}"


class Answers:
    """`now_s` is a clock that never goes back."""

    def __init__(self, config: ApiConfig, now_s: Callable[[], float]) -> None:
        self._config = config
        self._now_s = now_s
        self._answers: dict[tuple[str, str], _Answer] = {}  # oldest first
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    async def once(
        self, caller: str, key: str, request: bytes, produce: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The answer of `produce`, or the one that the same request had before. `request`: what must not differ."""
        if not key:
            if self._config.require_idempotency_key:
                raise KeyMissing(
                    f"This door wants the header {HEADER} with everything that changes something."
                )
            return await produce()
        name, fingerprint = (caller, key), hashlib.sha256(request).digest()
        self._forget()
        known = self._answers.get(name)
        if known is not None:
            return _again(known, key, fingerprint)
        answer = _Answer(fingerprint, self._now_s() + self._config.idempotency_ttl_s)
        self._answers[name] = answer
        try:
            response = await produce()
        except BaseException:
            del self._answers[name]
            raise
        answer.body = bytes(response.body)
        answer.headers = {each: response.headers[each] for each in _KEPT_HEADERS if each in response.headers}
        answer.status = response.status_code
        self._kept_bytes += len(answer.body)
        return response

    def _forget(self) -> None:
        """The oldest, until there is room for one more; what is under way stays."""
        config, now_s = self._config, self._now_s()
        for name, answer in list(self._answers.items()):
            has_room = (
                len(self._answers) < config.idempotency_keys and self._kept_bytes < config.idempotency_bytes
            )
            if has_room and answer.ends_s > now_s:
                return
            if answer.status:
                self._kept_bytes -= len(answer.body)
                del self._answers[name]


def key_of(header: str) -> str:
    """The key, which the draft writes as a quoted string and most clients without quotes."""
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(key) > KEY_CHARACTERS_MAX:
        raise InvalidArgument(
            f"{HEADER}: {len(key)} characters; at most {KEY_CHARACTERS_MAX}.", hint="A UUID has 36."
        )
    return key


def _again(known: _Answer, key: str, fingerprint: bytes) -> Response:
    if known.fingerprint != fingerprint:
        raise KeyReused(f"{HEADER} {key!r} was used with another request.")
    if not known.status:
        raise KeyInFlight(f"The first request with {HEADER} {key!r} is not answered yet.")
    return Response(
        known.body, status_code=known.status, headers={**known.headers, "Idempotent-Replayed": "true"}
    )
