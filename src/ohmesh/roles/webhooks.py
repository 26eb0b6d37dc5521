"""Webhooks: the role that tells others over HTTP what happens, and answers for who is told.

One process of the mesh holds it, as it holds a dispatcher or the projector. It reads the logs as any reader of events
does, so a receiver that is slow or away slows nobody: its webhook falls behind, within the reach of the logs.

Invariants: a webhook that is not paused has one delivery that runs; records are changed one question at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from ohmesh.errors import (
    EngineError,
    Fenced,
    InvalidArgument,
    OhmeshError,
    UnknownWebhook,
)
from ohmesh.model.frame import decode_ask_webhooks, encode_frame
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects, checked_name
from ohmesh.model.webhook import (
    AskWebhooks,
    WebhookAction,
    WebhookPage,
    WebhookRecord,
    WebhookSecret,
    view_of,
)
from ohmesh.policies.standard_webhook import secret_key
from ohmesh.ports.bus import Message
from ohmesh.registry.fields import EVENTS
from ohmesh.registry.selector import compile_selector
from ohmesh.roles.event_stream import EventStream, source_of
from ohmesh.roles.webhook_config import WebhookConfig, WebhookPorts
from ohmesh.roles.webhook_delivery import Delivery, failure_of
from ohmesh.roles.webhook_record import KeptRecord, kept_records

PAUSED_BY_HAND = "by an operator"


class Webhooks:
    """`notice` hears what a person should know (default: the log)."""

    def __init__(
        self, ports: WebhookPorts, *, subjects: Subjects, shards: int, config: WebhookConfig | None = None
    ) -> None:
        self.notice: Callable[[str], None] = logging.getLogger("ohmesh.webhooks").warning
        self._ports = ports
        self._subjects = subjects
        self._source = source_of(ports.log, ports.blobs, subjects, shards)
        self._config = config or WebhookConfig()
        self._deliveries: dict[str, Delivery] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._places = asyncio.Semaphore(self._config.concurrent)

    async def run(self, term: int) -> None:
        """Until cancelled. Raises Fenced once another process has changed a record; the term is only for people."""
        for kept in await kept_records(self._ports.state):
            self._deliveries[kept.now.id] = self._delivery(kept)
        try:
            async with asyncio.TaskGroup() as self._group:
                for webhook_id in self._deliveries:
                    self._start(webhook_id)
                await self._listen()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            for delivery in self._deliveries.values():
                with suppress(OhmeshError):  # then the last second is told again
                    await delivery.kept.save()

    async def _listen(self) -> None:
        subscription = await self._ports.bus.subscribe(self._subjects.webhooks(), self._receive)
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(EngineError):
                await subscription.unsubscribe()

    # Questions

    def _receive(self, message: Message) -> None:
        if message.reply and len(self._answers) < self._config.questions:  # who is not answered asks again
            answer = self._group.create_task(self._serve(message), name="webhooks' answer")
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _serve(self, message: Message) -> None:
        reply = await self._reply_to(message.data)
        frame = encode_frame("webhooks", 0, self._ports.clock.now_ms(), [reply])
        with suppress(EngineError):  # it is asked again
            await self._ports.bus.publish(message.reply, frame)

    async def _reply_to(self, data: bytes) -> WebhookPage | Problem:
        try:
            frame = decode_ask_webhooks(data)
            if len(frame.bodies) != 1:
                raise InvalidArgument(f"A question has one body, this one has {len(frame.bodies)}.")
            if frame.bodies[0].action is WebhookAction.TEST:  # the other side may take its time
                return await self._answer(frame.bodies[0])
            async with self._turn:
                return await self._answer(frame.bodies[0])
        except Fenced:
            raise
        except OhmeshError as error:
            return Problem(error.code, str(error))

    async def _answer(self, question: AskWebhooks) -> WebhookPage:
        if question.action is WebhookAction.LIST and not question.webhook_id:
            return WebhookPage([view_of(each.kept.now) for each in self._deliveries.values()])
        if question.action is WebhookAction.ADD:
            return await self._add(question)
        delivery = self._deliveries.get(question.webhook_id)
        if delivery is None:
            raise UnknownWebhook(
                f"There is no webhook {question.webhook_id}.",
                hint="`ohmesh webhooks` lists those that there are.",
            )
        if question.action is WebhookAction.TEST:
            answer, took_ms = await delivery.test()
            is_taken = 200 <= answer.status < 300
            failure = "" if is_taken else failure_of(answer)
            return WebhookPage([view_of(delivery.kept.now)], answer.status, failure, took_ms)
        await self._change(delivery, question)
        return WebhookPage([view_of(delivery.kept.now)])

    async def _add(self, question: AskWebhooks) -> WebhookPage:
        webhook_id = checked_name(question.webhook_id, "webhook id")
        if webhook_id not in self._deliveries:
            if len(self._deliveries) >= self._config.webhooks:
                raise InvalidArgument(
                    f"There are {len(self._deliveries)} webhooks, as many as this mesh takes.",
                    hint="Remove one, or raise webhooks.webhooks in its settings.",
                )
            secret_key(question.secret)
            if question.filter:
                compile_selector(question.filter, EVENTS)
            await self._ports.web.check(question.url, allow_private=question.allow_private)
            stream = EventStream(self._source)
            await stream.begin("")
            record = WebhookRecord(
                webhook_id,
                question.url,
                question.filter,
                (WebhookSecret(question.secret),),
                question.allow_private,
                self._ports.clock.now_ms(),
                stream.cursor,
            )
            self._deliveries[webhook_id] = self._delivery(KeptRecord(self._ports.state, record))
            self._start(webhook_id)
        await self._deliveries[webhook_id].kept.save()
        return WebhookPage([view_of(self._deliveries[webhook_id].kept.now)])

    async def _change(self, delivery: Delivery, question: AskWebhooks) -> None:
        kept, webhook_id = delivery.kept, delivery.kept.now.id
        if question.action is WebhookAction.LIST:
            return
        if question.action is WebhookAction.REMOVE:
            await self._stop(webhook_id)
            await kept.delete()
            del self._deliveries[webhook_id]
            return
        if question.action is WebhookAction.ROTATE:
            kept.change(secrets=self._rotated(kept.now, question.secret))
        elif question.action is WebhookAction.PAUSE:
            await self._stop(webhook_id)
            kept.change(pause_reason=kept.now.pause_reason or PAUSED_BY_HAND)
        elif kept.now.pause_reason:
            await self._stop(webhook_id)  # it may be ending just now
            kept.change(pause_reason="", failing_since_ms=0, failure="")
            self._start(webhook_id)
        await kept.save()

    def _rotated(self, record: WebhookRecord, secret: str) -> tuple[WebhookSecret, ...]:
        secret_key(secret)
        if record.secrets[0].key == secret:
            return record.secrets
        until_ms = self._ports.clock.now_ms() + self._config.rotation_ms
        return (WebhookSecret(secret), WebhookSecret(record.secrets[0].key, until_ms))

    # Deliveries

    def _delivery(self, kept: KeptRecord) -> Delivery:
        delivery = Delivery(self._ports, self._source, kept, config=self._config, places=self._places)
        delivery.notice = self.notice
        return delivery

    def _start(self, webhook_id: str) -> None:
        delivery = self._deliveries[webhook_id]
        if not delivery.kept.now.pause_reason:
            self._running[webhook_id] = self._group.create_task(
                delivery.run(), name=f"webhook {webhook_id} run"
            )

    async def _stop(self, webhook_id: str) -> None:
        task = self._running.pop(webhook_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
