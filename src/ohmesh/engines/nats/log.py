"""The log: one JetStream stream per log, one subject in it, and the stream's last sequence as the fence.

Why the header `Nats-Expected-Last-Sequence` and not `...-Last-Subject-Sequence`: the stream's counter survives
trimming (a purge leaves last_seq alone, while a subject without messages counts as 0) and says the same with one
subject. No `Nats-Msg-Id`: the server compares the sequence first, so a retry of a landed entry would look fenced, and
finding it by reading is needed anyway.

An acknowledgement that does not name expected + 1 of our stream proves nothing about our bytes; it counts as no answer.
Reads are batched direct gets. With replicas any of them may answer, perhaps with a log that ends early but never with
other entries; so the end of such a read is compared with the leader's, and the rest is taken from the leader.
"""

from __future__ import annotations

import re

from nats.aio.msg import Msg

from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.jetstream import ERR_WRONG_LAST_SEQUENCE, ApiError, JetStream
from ohmesh.errors import (
    AppendUnresolved,
    EngineFailed,
    EngineUnavailable,
    OhmeshError,
    PayloadTooLarge,
    SequenceConflict,
)
from ohmesh.model.subject import checked_name
from ohmesh.ports.log import Bounds, Entry

_HEADER_BYTES = 256
_LAST_SEQUENCE = re.compile(r"wrong last sequence: (\d+)")


def stream_of(log: str) -> str:
    return f"ohmesh-log-{checked_name(log, 'log name')}"


def subject_of(log: str) -> str:
    return f"ohmesh.log.{log}"


class NatsLog:
    """`writing` sends appends and never buffers while disconnected; `reading` is another connection, so that an
    acknowledgement never waits behind megabytes of a replay."""

    def __init__(self, writing: JetStream, reading: JetStream, config: NatsConfig) -> None:
        self._writing = writing
        self._reading = reading
        self._config = config

    async def create(self, name: str) -> None:
        await self._writing.create(
            stream_of(name),
            {
                "subjects": [subject_of(name)],
                "retention": "limits",
                "storage": "file",
                "discard": "new",
                "allow_direct": True,
                "num_replicas": self._config.replicas,
            },
        )

    async def append(self, name: str, data: bytes, *, expected: int) -> int:
        limit = self._writing.connection.max_payload_bytes - _HEADER_BYTES
        if len(data) > limit:
            raise PayloadTooLarge(
                f"An entry of {len(data)} bytes is above the {limit} that this server takes."
            )
        try:
            answer = await self._writing.publish(
                subject_of(name),
                data,
                {"Nats-Expected-Last-Sequence": str(expected)},
                timeout_s=self._config.append_timeout_ms / 1000,
            )
        except (EngineUnavailable, EngineFailed) as error:
            raise _unresolved(name, expected, error.message) from error
        if answer.error is not None:
            raise _refusal(name, expected, answer.error)
        if answer.seq != expected + 1 or answer.stream != stream_of(name):
            raise _unresolved(name, expected, f"it was acknowledged as {answer.stream} {answer.seq}")
        return answer.seq

    async def read(self, name: str, *, first: int, limit: int) -> list[Entry]:
        entries: list[Entry] = []
        position, more = max(first, 1), 1
        while more and len(entries) < limit:
            query: dict[str, object] = {
                "seq": position,
                "batch": limit - len(entries),
                "max_bytes": self._config.read_bytes,
                "next_by_subj": subject_of(name),
            }
            messages, more = await self._reading.batch(
                stream_of(name), query, timeout_s=self._config.read_timeout_ms / 1000
            )
            if not messages:
                break
            entries += [_entry(message) for message in messages]
            position = entries[-1].sequence + 1
        if self._config.replicas > 1 and len(entries) < limit:
            entries += await self._rest(name, position, limit - len(entries))
        return entries

    async def bounds(self, name: str) -> Bounds:
        state = await self._writing.state(stream_of(name))
        return Bounds(state.first_seq if state.messages else state.last_seq + 1, state.last_seq)

    async def trim(self, name: str, *, before: int) -> None:
        # A purge beyond the end would lift the last sequence to there, so the end is looked up first.
        bounds = await self.bounds(name)
        keep = min(before, bounds.last)
        if keep > bounds.first:
            await self._writing.purge(stream_of(name), before=keep)

    async def _rest(self, name: str, position: int, limit: int) -> list[Entry]:
        """What the leader has from `position` on and the replica that answered had not yet."""
        bounds = await self.bounds(name)
        rest: list[Entry] = []
        for sequence in range(max(position, bounds.first), min(bounds.last, position + limit - 1) + 1):
            stored = await self._reading.message_at(stream_of(name), sequence)
            if stored is not None:
                rest.append(Entry(stored.sequence, stored.data))
        return rest


def _entry(message: Msg) -> Entry:
    return Entry(int((message.headers or {})["Nats-Sequence"]), message.data)


def _unresolved(name: str, expected: int, why: str) -> AppendUnresolved:
    return AppendUnresolved(
        f"The append to log {name} after {expected} may or may not have landed: {why}",
        hint="Read at the next sequence, or send the same bytes with the same expected sequence again.",
    )


def _refusal(name: str, expected: int, error: ApiError) -> OhmeshError:
    if error.err_code in ERR_WRONG_LAST_SEQUENCE:
        told = _LAST_SEQUENCE.search(error.description)
        last = int(told.group(1)) if told else -1
        return SequenceConflict(
            f"Log {name} does not end at {expected}" + (f" but at {last}." if told else "."),
            expected=expected,
            last=last,
            hint="Read what stands after it: your own bytes mean that they landed, others that you were replaced.",
        )
    if error.code >= 500:
        return _unresolved(name, expected, f"the server answered: {error.description} ({error.err_code})")
    return EngineFailed(
        f"Log {name} refused an append after {expected}: {error.description} ({error.err_code})."
    )
