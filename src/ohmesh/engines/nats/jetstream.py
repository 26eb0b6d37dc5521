"""The JetStream requests that the engine makes, spoken directly: nats-py's own layer lacks batched direct reads and a
time to live on updates, and hides which replica answers.

Answered by the stream's leader: `create`, `info`, `purge`, `last_message`. Answered by any replica: `batch`.
Source: the JetStream API reference of docs.nats.io; ADR-8 (KV), ADR-31 (direct get), ADR-43 (per-message TTL).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
from nats.aio.msg import Msg

from ohmesh.engines.nats.connection import Connection, Headers
from ohmesh.engines.nats.requests import status_of
from ohmesh.engines.nats.translation import refused_by_jetstream
from ohmesh.errors import EngineFailed, EngineUnavailable

ERR_STREAM_NOT_FOUND = 10059
ERR_STREAM_EXISTS = 10058
ERR_NO_MESSAGE = 10037
ERR_WRONG_LAST_SEQUENCE = (10071, 10164)
"""10164 is the same refusal without the number, sent by clustered streams."""

_SETTINGS_THAT_MATTER = (
    "subjects",
    "retention",
    "storage",
    "discard",
    "max_msgs_per_subject",
    "allow_msg_ttl",
)
_SUBJECTS_IN_A_BATCH = 512
_ENDS_OF_BATCH = ("204", "404")


class ApiError(msgspec.Struct, frozen=True):
    code: int = 500
    err_code: int = 0
    description: str = ""


class StreamState(msgspec.Struct, frozen=True):
    messages: int
    first_seq: int
    last_seq: int
    subjects: dict[str, int] = {}


class Acknowledgement(msgspec.Struct, frozen=True):
    """The answer to a publication into a stream."""

    stream: str = ""
    seq: int = 0
    error: ApiError | None = None


class Stored(msgspec.Struct, frozen=True):
    """A message as it lies in its stream."""

    subject: str
    sequence: int
    data: bytes
    headers: Headers


class _StoredMessage(msgspec.Struct, frozen=True):
    subject: str
    seq: int
    data: str = ""
    hdrs: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: ApiError | None = None
    state: StreamState | None = None
    config: dict[str, object] = {}
    message: _StoredMessage | None = None
    num_pending: int = 0
    total: int = 0
    offset: int = 0
    limit: int = 0


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_acknowledgement = msgspec.json.Decoder(Acknowledgement).decode


class JetStream:
    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self.connection = connection
        self._timeout_s = timeout_s

    async def create(self, stream: str, config: dict[str, object]) -> None:
        """Make the stream unless it is there; EngineFailed when it is there with other settings."""
        wanted: dict[str, object] = {"name": stream, **config}
        answer = await self._ask(f"STREAM.CREATE.{stream}", wanted, accept=(ERR_STREAM_EXISTS,))
        if answer.error is None:
            return
        present = (await self._ask(f"STREAM.INFO.{stream}", {})).config
        for setting in _SETTINGS_THAT_MATTER:
            if setting in wanted and present.get(setting) != wanted[setting]:
                raise EngineFailed(
                    f"Stream {stream} exists with {setting} = {present.get(setting)!r}, not {wanted[setting]!r}.",
                    hint="Another program uses this name; give the mesh another name or the server another account.",
                )

    async def state(self, stream: str) -> StreamState:
        return _present((await self._ask(f"STREAM.INFO.{stream}", {})).state, stream)

    async def subjects(self, stream: str, subject_filter: str) -> tuple[StreamState, list[str]]:
        """The stream's state and every subject that has a message, page by page."""
        found: list[str] = []
        while True:
            query = {"subjects_filter": subject_filter, "offset": len(found)}
            answer = await self._ask(f"STREAM.INFO.{stream}", query)
            state = _present(answer.state, stream)
            found += state.subjects
            if not state.subjects or len(found) >= answer.total:
                return state, found

    async def purge(self, stream: str, *, before: int = 0, subject: str = "") -> None:
        """Remove the messages below sequence `before` (0: all), of `subject` only where given."""
        query: dict[str, object] = {}
        if before:
            query["seq"] = before
        if subject:
            query["filter"] = subject
        await self._ask(f"STREAM.PURGE.{stream}", query)

    async def last_message(self, stream: str, subject: str) -> Stored | None:
        """What the leader has as the newest message of `subject`."""
        answer = await self._ask(
            f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject}, accept=(ERR_NO_MESSAGE,)
        )
        return _stored(answer.message) if answer.message is not None else None

    async def message_at(self, stream: str, sequence: int) -> Stored | None:
        """What the leader has at `sequence`."""
        answer = await self._ask(f"STREAM.MSG.GET.{stream}", {"seq": sequence}, accept=(ERR_NO_MESSAGE,))
        return _stored(answer.message) if answer.message is not None else None

    async def batch(
        self, stream: str, query: dict[str, object], *, timeout_s: float
    ) -> tuple[list[Msg], int]:
        """Messages of one batched direct get, and how many more match. Any replica may answer."""
        answers = await self.connection.gather(
            f"$JS.API.DIRECT.GET.{stream}",
            msgspec.json.encode(query),
            lambda message: status_of(message) != "",
            timeout_s=timeout_s,
        )
        end = answers.pop()
        if status_of(end) not in _ENDS_OF_BATCH:
            description = (end.headers or {}).get("Description", "")
            raise refused_by_jetstream(f"a read of {stream}", int(status_of(end)), 0, description)
        return answers, int((end.headers or {}).get("Nats-Num-Pending", "0"))

    async def last_messages(self, stream: str, subjects: Sequence[str], *, timeout_s: float) -> list[Msg]:
        """The newest message of each of these subjects that has one, headers naming it. Any replica may answer."""
        found: list[Msg] = []
        for start in range(0, len(subjects), _SUBJECTS_IN_A_BATCH):
            query: dict[str, object] = {"multi_last": subjects[start : start + _SUBJECTS_IN_A_BATCH]}
            messages, more = await self.batch(stream, query, timeout_s=timeout_s)
            if more:
                raise EngineUnavailable(f"{more} messages of {stream} were not sent.", hint="Try again.")
            found += messages
        return found

    async def push_consumer(self, stream: str, consumer: str, config: dict[str, object]) -> None:
        """Have the stream's messages sent to config["deliver_subject"]; ends by itself when nobody listens there."""
        wanted = {
            "stream_name": stream,
            "action": "create",
            "config": {
                "name": consumer,
                "ack_policy": "none",
                "max_deliver": 1,
                "mem_storage": True,
                "num_replicas": 1,
                **config,
            },
        }
        await self._ask(f"CONSUMER.CREATE.{stream}.{consumer}", wanted)

    async def publish(
        self, subject: str, data: bytes, headers: Headers, *, timeout_s: float
    ) -> Acknowledgement:
        """One publication into a stream and the answer to it, which may be a refusal. Raises EngineUnavailable."""
        answer = await self.connection.request(subject, data, timeout_s=timeout_s, headers=headers)
        try:
            return _decode_acknowledgement(answer.data)
        except msgspec.MsgspecError as error:
            raise EngineFailed(
                f"The answer to a publication to {subject} is no acknowledgement: {error}."
            ) from error

    async def _ask(self, verb: str, query: object, *, accept: Sequence[int] = ()) -> _Answer:
        message = await self.connection.request(
            f"$JS.API.{verb}", msgspec.json.encode(query), timeout_s=self._timeout_s
        )
        try:
            answer = _decode_answer(message.data)
        except msgspec.MsgspecError as error:
            raise EngineFailed(f"JetStream's answer to {verb} cannot be read: {error}.") from error
        if answer.error is not None and answer.error.err_code not in accept:
            raise refused_by_jetstream(
                verb, answer.error.code, answer.error.err_code, answer.error.description
            )
        return answer


def parse_headers(raw: bytes) -> Headers:
    """The header block of a stored message: a version line, then `Name: value` lines."""
    headers: Headers = {}
    for line in raw.decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


def _stored(message: _StoredMessage) -> Stored:
    return Stored(
        message.subject,
        message.seq,
        base64.b64decode(message.data),
        parse_headers(base64.b64decode(message.hdrs)),
    )


def _present(state: StreamState | None, stream: str) -> StreamState:
    if state is None:
        raise EngineUnavailable(
            f"Stream {stream} did not tell its state.", hint="It may have no leader now; try again."
        )
    return state
