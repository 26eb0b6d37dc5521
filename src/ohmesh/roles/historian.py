"""The historian: answers questions about the past over the bus, from the ledger that the projector beside it writes.

    client --AskHistory--> historian --query--> ledger
                               `--how far are the logs, how far has the projector come--> `behind` of the answer

Every question gets an answer within its patience, an error that says why where there is no better one: the ledger is
away, it is being opened, too many ask. So nobody waits for a database that is gone. It is gentle to the projector: few
questions are with the ledger at once, few wait, and the ledger's own threads do the work. It holds nothing that a
successor would need.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from ohmesh.errors import Backpressure, EngineUnavailable, InvalidArgument, OhmeshError, PayloadTooLarge
from ohmesh.model.frame import MAX_FRAME_BYTES, decode_to_historian, encode_frame
from ohmesh.model.history import (
    UNKNOWN_BEHIND,
    AskEvents,
    AskHistory,
    DescribeHistory,
    EventPage,
    HistoryDescription,
    HistoryPage,
    HistoryReply,
    PastEvent,
    ToHistorian,
)
from ohmesh.model.message import Problem
from ohmesh.model.subject import Subjects
from ohmesh.ports.bus import Message
from ohmesh.ports.ledger import Event, Ledger, TaskQuery
from ohmesh.roles.historian_config import HistorianConfig, HistorianPorts

GROUP = "historians"
_EVENT_BYTES = 64

Positions = Callable[[], Mapping[int, int]]


class Historian:
    """`where` is the ledger's address without secrets. `opened`, `refused`, `closed` say what became of the ledger;
    `notice` hears what a person should know (default: the log)."""

    def __init__(
        self,
        ports: HistorianPorts,
        *,
        subjects: Subjects,
        shards: int,
        where: str,
        config: HistorianConfig | None = None,
    ) -> None:
        self.notice: Callable[[str], None] = logging.getLogger("ohmesh.historian").warning
        self._ports = ports
        self._subjects = subjects
        self._shards = shards
        self._where = where
        self._config = config or HistorianConfig()
        self._ledger: Ledger | None = None
        self._positions: Positions = dict
        self._trouble = ""
        self._known = asyncio.Event()
        self._places = asyncio.Semaphore(self._config.concurrent)
        self._answers: set[asyncio.Task[None]] = set()

    def opened(self, ledger: Ledger, positions: Positions) -> None:
        """Answer from this ledger. positions: shard -> last sequence that is history, of shards where it is known."""
        self._ledger, self._positions, self._trouble = ledger, positions, ""
        self._known.set()

    def refused(self, reason: str) -> None:
        """The ledger could not be opened; it will be tried again."""
        self._trouble = reason
        self._known.set()

    def closed(self) -> None:
        """The ledger is being closed: what is asked now waits for whoever opens it next."""
        self._ledger = None
        self._known.clear()

    async def run(self) -> None:
        """Answer until cancelled."""
        subject = self._subjects.historian()
        subscription = await self._ports.bus.subscribe(subject, self._receive, group=GROUP)
        try:
            await asyncio.Event().wait()
        finally:
            for answer in self._answers:
                answer.cancel()
            await subscription.unsubscribe()

    def _receive(self, message: Message) -> None:
        waiting = len(self._answers)
        if not message.reply or waiting >= 2 * self._config.questions:
            return  # it is asked again
        serving = self._turn_away(message) if waiting >= self._config.questions else self._serve(message)
        answer = asyncio.get_running_loop().create_task(serving, name="historian's answer")
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _turn_away(self, message: Message) -> None:
        words = f"{self._config.questions} questions about history are waiting for their answers already."
        await self._send(message.reply, Problem(Backpressure.code, words, self._config.retry_after_ms))

    async def _serve(self, message: Message) -> None:
        reply = await self._reply_to(message.data)
        try:
            await self._send(message.reply, reply)
        except OhmeshError as error:
            self.notice(f"An answer about history could not be sent: {error}")

    async def _reply_to(self, data: bytes) -> HistoryReply:
        try:
            frame = decode_to_historian(data)
            if len(frame.bodies) != 1:
                raise InvalidArgument(f"A question has one body, this one has {len(frame.bodies)}.")
            return await self._within_patience(frame.bodies[0])
        except Backpressure as error:
            return Problem(error.code, error.message, error.retry_after_ms)
        except OhmeshError as error:
            return Problem(error.code, str(error))
        except Exception as error:  # noqa: BLE001 - a defect here must not end the projector that runs beside us
            words = (
                f"A question about history failed: {type(error).__name__}: {error}. This is a bug in ohmesh."
            )
            self.notice(words)
            return Problem(OhmeshError.code, words)

    async def _within_patience(self, question: ToHistorian) -> HistoryReply:
        try:
            async with asyncio.timeout(self._config.patience_ms / 1000):
                if isinstance(question, DescribeHistory):
                    return await self._describe()
                async with self._places:
                    return await self._answer(question)
        except TimeoutError:
            raise EngineUnavailable(self._silence()) from None

    async def _answer(self, question: AskHistory | AskEvents) -> HistoryReply:
        ledger = await self._opened_ledger()
        behind = await self._behind()
        if isinstance(question, AskEvents):
            events = await ledger.events(kind=question.kind, limit=question.limit)
            return self._event_page(events, behind)
        page = await ledger.tasks(
            TaskQuery(
                question.task_ids,
                question.kind,
                question.state,
                question.host,
                question.since_ms,
                question.until_ms,
                question.limit,
                question.after,
            )
        )
        return HistoryPage(list(page.tasks), page.after, behind)

    async def _describe(self) -> HistoryDescription:
        """Whatever is wrong with the ledger is part of the answer."""
        try:
            async with asyncio.timeout(self._config.patience_ms / 2000):
                ledger = await self._opened_ledger()
                behind = await self._behind()
                await ledger.position(self._subjects.log(0))
        except TimeoutError:
            return HistoryDescription(self._where, UNKNOWN_BEHIND, self._silence())
        except OhmeshError as error:
            return HistoryDescription(self._where, UNKNOWN_BEHIND, str(error))
        return HistoryDescription(self._where, behind)

    async def _opened_ledger(self) -> Ledger:
        await self._known.wait()
        if self._ledger is None:
            raise EngineUnavailable(self._trouble)
        return self._ledger

    async def _behind(self) -> int:
        """Entries that are not history yet. The ends first: what is recorded meanwhile only makes it less."""
        names = [self._subjects.log(shard) for shard in range(self._shards)]
        bounds = await asyncio.gather(*map(self._ports.log.bounds, names))
        positions = self._positions()
        if len(positions) < self._shards:
            return UNKNOWN_BEHIND
        return sum(max(0, each.last - positions[shard]) for shard, each in enumerate(bounds))

    def _event_page(self, events: Sequence[Event], behind: int) -> EventPage:
        kept: list[PastEvent] = []
        size_bytes = 0
        for event in events:
            size_bytes += _EVENT_BYTES + len(f"{event.kind}{event.subject}{event.detail}".encode())
            if size_bytes > self._config.event_bytes and kept:
                break
            kept.append(PastEvent(event.at_ms, event.kind, event.subject, event.detail))
        return EventPage(kept, len(kept) < len(events), behind)

    def _silence(self) -> str:
        return f"The ledger at {self._where} gave no answer within {self._config.patience_ms} ms."

    async def _send(self, subject: str, reply: HistoryReply) -> None:
        data = self._frame(reply)
        if len(data) > MAX_FRAME_BYTES:
            words = f"The answer takes {len(data)} bytes, one message holds {MAX_FRAME_BYTES}."
            data = self._frame(Problem(PayloadTooLarge.code, words))
        await self._ports.bus.publish(subject, data)

    def _frame(self, reply: HistoryReply) -> bytes:
        return encode_frame("historian", 0, self._ports.clock.now_ms(), [reply])
