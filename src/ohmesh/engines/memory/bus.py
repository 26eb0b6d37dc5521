"""The bus of the memory engine: subjects matched at the server, delivered in the subscriber's own context.

A message makes two legs. On the first, one publisher's messages on one subject keep their order; on the second, all
that one subscriber hears does. Everything else may cross.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial

from ohmesh.engines.memory.faults import BusFaults, draw, happens
from ohmesh.engines.memory.link import Link
from ohmesh.engines.memory.server import Server
from ohmesh.errors import EngineUnavailable, InvalidArgument, PayloadTooLarge
from ohmesh.ports.bus import SUBJECT_LENGTH_MAX, Message, Receive

_REMEMBERED_SUBJECTS = 1024


class MemorySubscription:
    """One interest; ended, it hears nothing more, not even what was on its way."""

    def __init__(self, exchange: Exchange, ear: Ear, subject: str, receive: Receive, group: str) -> None:
        self.ear = ear
        self.subject = subject
        self.group = group
        self.words = subject.split(".")
        self.is_active = True
        self.context: Context = copy_context()
        self._exchange = exchange
        self._receive = receive

    async def unsubscribe(self) -> None:
        self.end()

    def end(self) -> None:
        self.is_active = False
        self._exchange.remove(self)

    def hear(self, message: Message) -> None:
        if self.is_active:
            self._receive(message)


class Ear:
    """What one connection hears: how far its incoming leg is, and the requests it waits for."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.requests: dict[str, asyncio.Future[bytes]] = {}
        self._busy_until = 0.0

    def deliver(self, hand_over: Callable[[], None], faults: BusFaults) -> None:
        """The second leg, in order; what is on it when the connection ends is lost."""
        server, link = self.link.server, self.link
        if not link.is_online:
            return
        delay_s = draw(link.rng, faults.delay_ms) / 2
        now = server.now()
        when = max(now + delay_s, math.nextafter(self._busy_until, math.inf))
        if delay_s == 0.0 and self._busy_until <= now:
            hand_over()
            return
        self._busy_until = when
        server.schedule_at(when, partial(self._arrive, link.generation, hand_over))

    def answer(self, inbox: str, data: bytes) -> None:
        future = self.requests.get(inbox)
        if future is not None and not future.done():
            future.set_result(data)

    def nobody_listens(self, inbox: str, subject: str) -> None:
        future = self.requests.get(inbox)
        if future is not None and not future.done():
            future.set_exception(EngineUnavailable(f"Nobody listens on {subject!r}."))

    def _arrive(self, generation: int, hand_over: Callable[[], None]) -> None:
        if generation == self.link.generation and self.link.hears:
            hand_over()


class Exchange:
    """The server's side: who listens to what."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._rng = server.rng("exchange")
        self._exact: dict[str, dict[MemorySubscription, None]] = {}
        self._wild: dict[MemorySubscription, None] = {}
        self._inboxes: dict[str, Ear] = {}

    def add(self, subscription: MemorySubscription) -> None:
        if _is_wild(subscription.subject):
            self._wild[subscription] = None
        else:
            self._exact.setdefault(subscription.subject, {})[subscription] = None

    def remove(self, subscription: MemorySubscription) -> None:
        self._wild.pop(subscription, None)
        same_subject = self._exact.get(subscription.subject, {})
        same_subject.pop(subscription, None)
        if not same_subject:
            self._exact.pop(subscription.subject, None)

    def open_inbox(self, inbox: str, ear: Ear) -> None:
        self._inboxes[inbox] = ear

    def close_inbox(self, inbox: str) -> None:
        self._inboxes.pop(inbox, None)

    def route(self, message: Message) -> None:
        """A message has arrived at the server."""
        self.server.record("message", message.subject, message.data)
        faults = self.server.faults.bus
        asker = self._inboxes.get(message.subject)
        if asker is not None:
            asker.deliver(partial(asker.answer, message.subject, message.data), faults)
            return
        listeners = self._listeners(message.subject)
        for listener in listeners:
            self._deliver(listener, message, faults)
        if message.reply and not listeners:
            requester = self._inboxes.get(message.reply)
            if requester is not None:
                requester.deliver(partial(requester.nobody_listens, message.reply, message.subject), faults)

    def _listeners(self, subject: str) -> list[MemorySubscription]:
        words = subject.split(".")
        matching = list(self._exact.get(subject, ()))
        matching += [listener for listener in self._wild if matches(listener.words, words)]
        connected = [listener for listener in matching if listener.ear.link.is_online]
        chosen = [listener for listener in connected if not listener.group]
        groups: dict[str, list[MemorySubscription]] = {}
        for listener in connected:
            if listener.group:
                groups.setdefault(listener.group, []).append(listener)
        chosen.extend(self._rng.choice(members) for members in groups.values())
        return chosen

    def _deliver(self, listener: MemorySubscription, message: Message, faults: BusFaults) -> None:
        hand_over = partial(_call_in_context, listener, message)
        listener.ear.deliver(hand_over, faults)
        rng = listener.ear.link.rng
        if happens(rng, faults.duplication):
            self.server.schedule(
                draw(rng, faults.duplicate_ms), partial(listener.ear.deliver, hand_over, faults)
            )


class MemoryBus:
    """The port Bus for one connection."""

    def __init__(self, link: Link, exchange: Exchange) -> None:
        self._link = link
        self._exchange = exchange
        self._ear = Ear(link)
        self._subscriptions: dict[MemorySubscription, None] = {}
        self._busy_until: dict[str, float] = {}
        self._outgoing: list[Message] = []
        self._outgoing_bytes = 0
        self._requests = 0
        link.on_restored.append(self._flush)
        link.on_lost.append(self._fail_requests)
        link.on_closed.append(self._end)

    async def publish(self, subject: str, data: bytes) -> None:
        self._send(Message(checked_subject(subject), data))

    async def subscribe(self, subject: str, receive: Receive, *, group: str = "") -> MemorySubscription:
        self._link.check_open()
        checked_subject(subject, may_be_wild=True)
        subscription = MemorySubscription(self._exchange, self._ear, subject, receive, group)
        self._subscriptions = {one: None for one in self._subscriptions if one.is_active}
        self._subscriptions[subscription] = None
        self._exchange.add(subscription)
        await asyncio.sleep(0)
        return subscription

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        self._requests += 1
        inbox = f"_INBOX.{self._link.number}.{self._requests}"
        future: asyncio.Future[bytes] = loop.create_future()
        expiry = loop.call_later(timeout_s, _expire, future, subject, timeout_s)
        self._ear.requests[inbox] = future
        self._exchange.open_inbox(inbox, self._ear)
        try:
            self._send(Message(checked_subject(subject), data, inbox))
            return await future
        finally:
            expiry.cancel()
            self._exchange.close_inbox(inbox)
            del self._ear.requests[inbox]

    def watch_connection(self, notice: Callable[[bool], None]) -> None:
        self._link.add_notice(notice)

    async def close(self) -> None:
        self._link.close()

    def _send(self, message: Message) -> None:
        self._link.check_open()
        if len(message.data) > self._link.server.limits.message_bytes:
            raise PayloadTooLarge(
                f"A message of {len(message.data)} bytes on {message.subject!r} is above the engine's"
                f" {self._link.server.limits.message_bytes}."
            )
        if self._link.is_online:
            self._put_on_the_wire(message)
        elif self._outgoing_bytes + len(message.data) <= self._link.server.limits.outgoing_bytes:
            self._outgoing.append(message)
            self._outgoing_bytes += len(message.data)

    def _put_on_the_wire(self, message: Message) -> None:
        server, link = self._link.server, self._link
        faults = server.faults.bus
        if happens(link.rng, faults.loss):
            server.record("message-lost", message.subject)
            return
        now = server.now()
        free_at = self._busy_until.get(message.subject, 0.0)
        when = now + draw(link.rng, faults.delay_ms) / 2
        if free_at > now:
            when = max(when, math.nextafter(free_at, math.inf))
        if when > now:
            self._remember(message.subject, when, now)
        server.schedule_at(when, partial(self._arrive, link.generation, message))

    def _remember(self, subject: str, when: float, now: float) -> None:
        if len(self._busy_until) >= _REMEMBERED_SUBJECTS:
            self._busy_until = {name: at for name, at in self._busy_until.items() if at > now}
        self._busy_until[subject] = when

    def _arrive(self, generation: int, message: Message) -> None:
        if generation == self._link.generation and self._link.is_reachable:
            self._link.server.handle(partial(self._exchange.route, message))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        self._outgoing_bytes = 0
        for message in outgoing:
            self._put_on_the_wire(message)

    def _end(self) -> None:
        for subscription in self._subscriptions:
            subscription.end()
        self._fail_requests()

    def _fail_requests(self) -> None:
        for future in self._ear.requests.values():
            if not future.done():
                future.set_exception(EngineUnavailable("The connection was lost while a reply was awaited."))


def matches(pattern: list[str], words: list[str]) -> bool:
    """Whether the words of a subject fit a pattern with `*` (one word) and a last `>` (one or more)."""
    if pattern[-1] == ">":
        return len(words) >= len(pattern) and _fits(pattern[:-1], words)
    return len(words) == len(pattern) and _fits(pattern, words)


def checked_subject(subject: str, *, may_be_wild: bool = False) -> str:
    """Return it when it can be published to (or, `may_be_wild`, subscribed to); else raise InvalidArgument."""
    words = subject.split(".")
    is_formed = (
        len(subject) <= SUBJECT_LENGTH_MAX
        and all(words)
        and not any(character.isspace() for character in subject)
    )
    is_allowed = may_be_wild and ">" not in words[:-1]
    if not is_formed or (_is_wild(subject) and not is_allowed):
        raise InvalidArgument(
            f"{subject!r} cannot be used as a subject here.",
            hint="Words separated by dots; '*' and a last '>' only where one subscribes.",
        )
    return subject


def _fits(pattern: list[str], words: list[str]) -> bool:
    return all(wanted in ("*", word) for wanted, word in zip(pattern, words, strict=False))


def _is_wild(subject: str) -> bool:
    return any(word in ("*", ">") for word in subject.split("."))


def _call_in_context(listener: MemorySubscription, message: Message) -> None:
    asyncio.get_running_loop().call_soon(listener.hear, message, context=listener.context)


def _expire(future: asyncio.Future[bytes], subject: str, timeout_s: float) -> None:
    if not future.done():
        future.set_exception(EngineUnavailable(f"No reply on {subject!r} came in {timeout_s} s."))
