"""State: one NATS key-value bucket per mesh, laid out as ADR-8 says, so that `nats kv` can look into it.

A revision is the stream's sequence. Compare-and-set is the header `Nats-Expected-Last-Subject-Sequence`. A TTL is the
header `Nats-TTL` of the one message that carries it, so a put without it removes it. What expires leaves a marker of
the server, what is deleted a PURGE message; both are seen by watches, count as absent, and go after
delete_marker_ttl_s.
Single keys are read from the stream's leader, so a process sees what it wrote.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ohmesh.engines.nats.bucket import Bucket, is_deletion
from ohmesh.engines.nats.config import NatsConfig
from ohmesh.engines.nats.jetstream import ERR_WRONG_LAST_SEQUENCE, JetStream
from ohmesh.engines.nats.translation import refused_by_jetstream
from ohmesh.engines.nats.watch import Watch
from ohmesh.errors import RevisionConflict
from ohmesh.ports.state import StateEntry

_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_CREATE_TRIES = 16


class NatsState:
    def __init__(self, jetstream: JetStream, mesh: str, config: NatsConfig) -> None:
        self._jetstream = jetstream
        self._bucket = Bucket(mesh)
        self._config = config

    async def create(self) -> None:
        """Make the bucket unless it is there."""
        await self._jetstream.create(
            self._bucket.stream,
            {
                "subjects": [f"{self._bucket.root}>"],
                "retention": "limits",
                "storage": "file",
                "discard": "new",
                "max_msgs_per_subject": 1,
                "allow_rollup_hdrs": True,
                "allow_direct": True,
                "allow_msg_ttl": True,
                "subject_delete_marker_ttl": self._config.delete_marker_ttl_s * 10**9,
                "num_replicas": self._config.replicas,
            },
        )

    async def get(self, key: str) -> StateEntry | None:
        stored = await self._jetstream.last_message(self._bucket.stream, self._bucket.subject(key))
        if stored is None or is_deletion(stored.headers):
            return None
        return StateEntry(key, stored.data, stored.sequence)

    async def put(self, key: str, value: bytes, *, expected: int | None = None, ttl_ms: int = 0) -> int:
        headers = {"Nats-TTL": str(-(-ttl_ms // 1000))} if ttl_ms > 0 else {}
        if expected == 0:
            return await self._create_key(key, value, headers)
        if expected is not None:
            headers[_EXPECTED] = str(expected)
        revision = await self._write(key, value, headers)
        if revision is None:
            raise _conflict(key, expected)
        return revision

    async def delete(self, key: str, *, expected: int | None = None) -> None:
        if await self.get(key) is None:
            if expected:
                raise _conflict(key, expected)
            return
        headers = {
            "KV-Operation": "PURGE",
            "Nats-Rollup": "sub",
            "Nats-TTL": str(self._config.delete_marker_ttl_s),
        }
        if expected is not None:
            headers[_EXPECTED] = str(expected)
        if await self._write(key, b"", headers) is None:
            raise _conflict(key, expected)

    async def keys(self, prefix: str) -> list[str]:
        _, subjects = await self._jetstream.subjects(self._bucket.stream, self._bucket.filter(prefix))
        wanted = [subject for subject in subjects if self._bucket.key(subject).startswith(prefix)]
        messages = await self._jetstream.last_messages(
            self._bucket.stream, wanted, timeout_s=self._config.read_timeout_ms / 1000
        )
        present = [message.headers or {} for message in messages if not is_deletion(message.headers)]
        return sorted(self._bucket.key(headers["Nats-Subject"]) for headers in present)

    async def watch(self, prefix: str) -> AsyncIterator[StateEntry]:
        watch = Watch(self._jetstream, self._bucket, prefix, self._config)
        try:
            async for entry in watch.entries():
                yield entry
        finally:
            await watch.close()

    async def _create_key(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        """Absent means: no message, or a deletion as the newest one, whose sequence is then the expected one."""
        for _ in range(_CREATE_TRIES):
            present = await self._jetstream.last_message(self._bucket.stream, self._bucket.subject(key))
            if present is not None and not is_deletion(present.headers):
                break
            sequence = present.sequence if present is not None else 0
            revision = await self._write(key, value, {**headers, _EXPECTED: str(sequence)})
            if revision is not None:
                return revision
        raise _conflict(key, 0)

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int | None:
        """The new revision; None when the key was not at the expected one."""
        timeout_s = self._config.request_timeout_ms / 1000
        subject = self._bucket.subject(key)
        answer = await self._jetstream.publish(subject, value, headers, timeout_s=timeout_s)
        if answer.error is None:
            return answer.seq
        if answer.error.err_code in ERR_WRONG_LAST_SEQUENCE:
            return None
        error = answer.error
        raise refused_by_jetstream(f"a write to {key}", error.code, error.err_code, error.description)


def _conflict(key: str, expected: int | None) -> RevisionConflict:
    what = "is present" if expected == 0 else f"is not at revision {expected}"
    return RevisionConflict(f"Key {key} {what}.", hint="Read it again and decide anew.")
