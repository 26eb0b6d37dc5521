"""Blobs: chunks under an id of their own, then one manifest under the key. The manifest is the blob.

Invariants: a blob is visible when its manifest is stored, which replaces the older manifest in one step (one message is
kept per subject); chunks are removed after the manifest that named them is gone. A reader that loses this race, or asks
a replica that lags, finds chunks missing or a digest that does not fit, and begins again at the present manifest.
Chunks whose writer died before the manifest are swept once they are old.

    ohmesh.blob.<mesh>.meta.<key, base64url>      ohmesh.blob.<mesh>.chunk.<id>.<number>
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence

import msgspec
from nats.aio.msg import Msg

from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.jetstream import JetStream
from ohmesh.engines.nats.translation import refused_by_jetstream
from ohmesh.errors import EngineError, EngineFailed, InvalidArgument, PayloadTooLarge
from ohmesh.model.subject import checked_name

_RETRY_S = 0.02
_KEY_BYTES_LIMIT = 512


class Manifest(msgspec.Struct, frozen=True):
    """`first` is the sequence of the first chunk, where reading begins."""

    id: str
    size: int
    chunks: int
    sha256: str
    first: int


class NatsBlobs:
    def __init__(self, jetstream: JetStream, mesh: str, config: NatsConfig) -> None:
        self._jetstream = jetstream
        self._config = config
        self._notice = config.notice
        self._stream = f"ohmesh-blobs-{checked_name(mesh, 'mesh name')}"
        self._root = f"ohmesh.blob.{mesh}."
        self._puts = 0
        self._sweep: asyncio.Task[None] | None = None

    async def create(self) -> None:
        """Make the stream unless it is there."""
        await self._jetstream.create(
            self._stream,
            {
                "subjects": [f"{self._root}>"],
                "retention": "limits",
                "storage": "file",
                "discard": "new",
                "max_msgs_per_subject": 1,
                "allow_direct": True,
                "num_replicas": self._config.replicas,
            },
        )

    async def put(self, key: str, data: bytes) -> None:
        if len(data) > self._config.blob_bytes_limit:
            raise PayloadTooLarge(
                f"Blob {key} has {len(data)} bytes; {self._config.blob_bytes_limit} is the limit."
            )
        subject = self._meta_subject(key)
        self._begin_sweep()
        older = await self._manifest(subject)
        identity = f"{int(time.time()):x}-{secrets.token_hex(8)}"
        try:
            sequences = await self._put_chunks(identity, data)
            digest = hashlib.sha256(data).hexdigest()
            manifest = Manifest(identity, len(data), len(sequences), digest, min(sequences, default=0))
            await self._publish(subject, msgspec.json.encode(manifest))
        except EngineFailed:
            await self._jetstream.purge(self._stream, subject=self._chunk_filter(identity))
            raise
        if older is not None:
            await self._jetstream.purge(self._stream, subject=self._chunk_filter(older.id))

    async def get(self, key: str) -> bytes | None:
        subject = self._meta_subject(key)
        for attempt in range(self._config.blob_read_tries):
            manifest = await self._manifest(subject)
            if manifest is None:
                return None
            data = await self._get_chunks(manifest)
            if data is not None:
                return data
            await asyncio.sleep(_RETRY_S * 2**attempt)
        raise EngineFailed(
            f"Blob {key} is damaged: its chunks do not add up to its manifest.",
            hint="It was written by something else, or the server's store lost data; write it again.",
        )

    async def delete(self, key: str) -> None:
        subject = self._meta_subject(key)
        manifest = await self._manifest(subject)
        if manifest is not None:
            await self._jetstream.purge(self._stream, subject=subject)
            await self._jetstream.purge(self._stream, subject=self._chunk_filter(manifest.id))

    async def list(self, prefix: str) -> list[str]:
        _, subjects = await self._jetstream.subjects(self._stream, f"{self._root}meta.>")
        keys = (_decoded(subject.rpartition(".")[2]) for subject in subjects)
        return sorted(key for key in keys if key.startswith(prefix))

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()

    async def _manifest(self, subject: str) -> Manifest | None:
        stored = await self._jetstream.last_message(self._stream, subject)
        return _manifest_of(stored.data) if stored is not None else None

    async def _put_chunks(self, identity: str, data: bytes) -> Sequence[int]:
        free = asyncio.Semaphore(self._config.blob_chunks_in_flight)

        async def put_chunk(number: int, chunk: bytes) -> int:
            async with free:
                return await self._publish(f"{self._root}chunk.{identity}.{number}", chunk)

        try:
            async with asyncio.TaskGroup() as group:
                chunks = enumerate(_pieces(data, self._config.blob_chunk_bytes))
                tasks = [group.create_task(put_chunk(number, chunk)) for number, chunk in chunks]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _get_chunks(self, manifest: Manifest) -> bytes | None:
        """The whole, or None when a chunk is missing or the digest does not fit."""
        parts: dict[int, bytes] = {}
        position, more = manifest.first, 1
        while more and len(parts) < manifest.chunks:
            query: dict[str, object] = {
                "seq": position,
                "batch": manifest.chunks - len(parts),
                "max_bytes": self._config.read_bytes,
                "next_by_subj": self._chunk_filter(manifest.id),
            }
            messages, more = await self._jetstream.batch(
                self._stream, query, timeout_s=self._config.read_timeout_ms / 1000
            )
            if not messages:
                break
            for message in messages:
                number, position = _place_of(message)
                parts[number] = message.data
            position += 1
        data = b"".join(parts[number] for number in sorted(parts))
        return data if hashlib.sha256(data).hexdigest() == manifest.sha256 else None

    async def _publish(self, subject: str, data: bytes) -> int:
        timeout_s = self._config.request_timeout_ms / 1000
        answer = await self._jetstream.publish(subject, data, {}, timeout_s=timeout_s)
        if answer.error is not None:
            error = answer.error
            raise refused_by_jetstream("a part of a blob", error.code, error.err_code, error.description)
        return answer.seq

    def _begin_sweep(self) -> None:
        """Once in the life of this object, which has proved by its puts to be a long one."""
        self._puts += 1
        if self._sweep is None and self._puts >= self._config.blob_puts_before_sweep:
            self._sweep = asyncio.create_task(self._sweep_orphans(), name="nats-blob-sweep")

    async def _sweep_orphans(self) -> None:
        oldest = time.time() - self._config.blob_orphan_age_s
        try:
            _, chunks = await self._jetstream.subjects(self._stream, f"{self._root}chunk.>")
            identities = {subject.split(".")[-2] for subject in chunks}
            old = {identity for identity in identities if int(identity.partition("-")[0], 16) < oldest}
            for identity in sorted(old - await self._named()) if old else ():
                await self._jetstream.purge(self._stream, subject=self._chunk_filter(identity))
                self._notice(f"swept the chunks of a blob that was never completed: {identity}")
        except EngineError as error:
            self._notice(f"orphaned chunks of blobs were not swept this time: {error}")

    async def _named(self) -> set[str]:
        """The ids that manifests name."""
        _, subjects = await self._jetstream.subjects(self._stream, f"{self._root}meta.>")
        messages = await self._jetstream.last_messages(
            self._stream, subjects, timeout_s=self._config.read_timeout_ms / 1000
        )
        return {_manifest_of(message.data).id for message in messages}

    def _meta_subject(self, key: str) -> str:
        encoded = base64.urlsafe_b64encode(key.encode()).decode()
        if not key or len(encoded) > _KEY_BYTES_LIMIT:
            raise InvalidArgument(
                f"A blob's key has 1 to {_KEY_BYTES_LIMIT * 3 // 4} bytes; this one has {len(key)}."
            )
        return f"{self._root}meta.{encoded}"

    def _chunk_filter(self, identity: str) -> str:
        return f"{self._root}chunk.{identity}.>"


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _place_of(message: Msg) -> tuple[int, int]:
    """Number of the chunk and its sequence."""
    headers = message.headers or {}
    return int(headers["Nats-Subject"].rpartition(".")[2]), int(headers["Nats-Sequence"])


def _manifest_of(data: bytes) -> Manifest:
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise EngineFailed(f"The manifest of a blob cannot be read: {error}.") from error


def _decoded(word: str) -> str:
    return base64.urlsafe_b64decode(word).decode()
