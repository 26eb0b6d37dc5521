"""One webhook: the events that it wants, one after the other, each until it has been taken.

    logs of the shards --events behind the cursor--> filter --POST--> 2xx: the next one
                                                        `-- anything else: again, later and later, at last paused

The cursor is written down now and then, so after a kill the last few are told again, and none is left out as far as
the logs reach back; where they do not, the event shard.gap says so, whatever the filter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

from ohmesh.errors import EngineError, EngineUnavailable
from ohmesh.model.event import PREFIX, VERSION, Event
from ohmesh.model.webhook import WebhookRecord
from ohmesh.policies.retry_after import retry_after_ms
from ohmesh.policies.standard_webhook import cloud_event, message_id, signed_headers
from ohmesh.ports.web import WebAnswer, WebRequest
from ohmesh.registry.fields import EVENTS
from ohmesh.registry.rows import EVENT_SOURCES, matcher
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.event_stream import EventSource, EventStream
from ohmesh.roles.webhook_config import WebhookConfig, WebhookPorts
from ohmesh.roles.webhook_record import KeptRecord

GONE = 410
_GAP = "shard.gap"
_TEST = f"{PREFIX}webhook.test{VERSION}"


class Delivery:
    """`places` bounds the requests of all webhooks; `notice` hears that one was paused."""

    def __init__(
        self,
        ports: WebhookPorts,
        source: EventSource,
        kept: KeptRecord,
        *,
        config: WebhookConfig,
        places: asyncio.Semaphore,
    ) -> None:
        self.kept = kept
        self.notice: Callable[[str], None] = lambda words: None
        self._ports = ports
        self._source = source
        self._config = config
        self._places = places
        self._rng = ports.entropy.rng()
        self._failures = 0
        self._selector = compile_selector(kept.now.filter, EVENTS) if kept.now.filter else None

    async def run(self) -> None:
        """Until it is cancelled or the webhook is paused. Raises Fenced."""
        saving = asyncio.create_task(self._save_for_ever(), name=f"webhook {self.kept.now.id} saving")
        telling = asyncio.create_task(self._tell_for_ever(), name=f"webhook {self.kept.now.id}")
        try:
            done, _ = await asyncio.wait([saving, telling], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            telling.cancel()
            async with (
                self.kept.lock
            ):  # a write that has begun is waited for: its revision is the next one's base
                saving.cancel()
            await asyncio.gather(saving, telling, return_exceptions=True)

    async def test(self) -> tuple[WebAnswer, int]:
        """Tell it of nothing in particular, once; the answer, and after how many milliseconds."""
        clock, record = self._ports.clock, self.kept.now
        nonce = self._ports.entropy.bits(40)
        event = Event(f"test:{nonce:x}", _TEST, clock.now_ms(), record.id, 0)
        begun_ms = clock.monotonic_ms()
        answer = await self._post(event)
        return answer, clock.monotonic_ms() - begun_ms

    async def _tell_for_ever(self) -> None:
        while True:
            if not self.kept.now.pause_reason:
                with suppress(EngineError):  # it is begun anew at the cursor that was reached
                    await self._tell()
            elif await self._saved():
                return
            await asyncio.sleep(self._config.save_ms / 1000)

    async def _tell(self) -> None:
        stream = EventStream(self._source)
        await stream.begin(self.kept.now.cursor)
        async with aclosing(stream.follow()) as events:
            async for event in events:
                if self._is_meant(event) and not await self._delivered(event):
                    return
                self.kept.change(cursor=event.cursor, reached_ms=event.time_ms)

    def _is_meant(self, event: Event) -> bool:
        if self._selector is None or event.what == _GAP:
            return True
        return matcher(self._selector, EVENT_SOURCES, self._ports.clock.now_ms())(event)

    async def _delivered(self, event: Event) -> bool:
        """Try until it is taken; False once the webhook is paused instead."""
        while True:
            answer = await self._post(event)
            now_ms = self._ports.clock.now_ms()
            if 200 <= answer.status < 300:
                self._failures = 0
                delivered = self.kept.now.delivered + 1
                self.kept.change(delivered=delivered, delivered_ms=now_ms, failing_since_ms=0, failure="")
                return True
            self._failures += 1
            since_ms = self.kept.now.failing_since_ms or now_ms
            self.kept.change(failing_since_ms=since_ms, failure=failure_of(answer))
            if answer.status == GONE:
                return self._pause("the receiver says that it is gone for good (410)")
            if now_ms - since_ms >= self._config.give_up_ms:
                hours = self._config.give_up_ms / 3_600_000
                return self._pause(
                    f"nothing was delivered for {hours:g} h; the last time {failure_of(answer)}"
                )
            await asyncio.sleep(self._pause_ms(answer, now_ms) / 1000)

    async def _post(self, event: Event) -> WebAnswer:
        record, now_ms = self.kept.now, self._ports.clock.now_ms()
        body = cloud_event(event, self._source.subjects.mesh)
        headers = signed_headers(
            message_id(record.id, event), now_ms // 1000, body, valid_secrets(record, now_ms)
        )
        request = WebRequest(record.url, headers, body, self._config.timeout_ms / 1000, record.allow_private)
        async with self._places:
            return await self._ports.web.post(request)

    def _pause_ms(self, answer: WebAnswer, now_ms: int) -> float:
        """Half of it at random, so that receivers that failed together are not asked together; what a receiver asks
        for at least."""
        config = self._config
        longest_ms = min(config.retry_max_ms, config.retry_ms << min(self._failures - 1, 30))
        wished_ms = retry_after_ms(answer.retry_after, now_ms / 1000) or 0
        return max(longest_ms * self._rng.uniform(0.5, 1.0), min(wished_ms, config.retry_after_max_ms))

    def _pause(self, reason: str) -> bool:
        self.kept.change(pause_reason=reason)
        self.notice(
            f"Webhook {self.kept.now.id} is paused: {reason}. `ohmesh webhooks resume` goes on where it was."
        )
        return False

    async def _save_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._config.save_ms / 1000)
            await self._saved()

    async def _saved(self) -> bool:
        try:
            await self.kept.save()
        except EngineUnavailable:
            return False
        return True


def valid_secrets(record: WebhookRecord, now_ms: int) -> list[str]:
    """The present one first."""
    return [secret.key for secret in record.secrets if not secret.until_ms or secret.until_ms > now_ms]


def failure_of(answer: WebAnswer) -> str:
    if 300 <= answer.status < 400:
        return f"it answered {answer.status}, and redirections are not followed"
    return f"it answered {answer.status}" if answer.status else answer.failure
