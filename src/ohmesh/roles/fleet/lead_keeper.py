"""What the orchestrator has learnt about how long agents take is kept in `blobs`, so that a successor goes on from it.

arrivals/<era>      {version, names of processes by neighbourhood, way, snapshot of the estimator}, compressed

Every orchestrator writes under its own era, so one that has been replaced and does not know it overwrites nothing. A
successor reads the newest that is not its own, and removes the older ones once it has written. A snapshot that cannot
be read, or is of another version, is told and passed over: leads are priors then, and are learnt again.

Writing is done in pieces between other work, at most one part in fifty of the time, and only if something was learnt
since; an enrolment in between begins it anew. A kill loses what was learnt since the last one, a minute as a rule.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.ports.blobs import Blobs
from ohmesh.protocols.arrival.estimator_wire import estimator_pieces, restore_estimator, snapshot_bytes
from ohmesh.roles.fleet.arrivals import HOSTS

if TYPE_CHECKING:
    from ohmesh.roles.fleet.orchestrator import Orchestrator

PREFIX = "arrivals/"
VERSION = 1
LEAST_SHARE = 50  # so many times as long as a write took is waited before the next
MAX_HEAD = 1 << 20
END_S = 2.0


class _Head(Struct, array_like=True, frozen=True):
    """Before the snapshot, with its own length in four bytes."""

    version: int
    era: int
    dispatch_ms: float
    processes: list[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Head).decode


class LeadKeeper:
    def __init__(self, orchestrator: Orchestrator, blobs: Blobs) -> None:
        self._of = orchestrator
        self._blobs = blobs
        self._kept = 0

    async def load(self) -> None:
        """Before anybody joins. What cannot be had is told, and learnt again."""
        try:
            eras = _eras(await self._blobs.list(PREFIX))
            data = await self._blobs.get(PREFIX + _name(eras[-1])) if eras else None
        except EngineError as error:
            self._of.notice(f"What was learnt about leads could not be read, it is learnt again: {error}")
            return
        if data is None:
            return
        try:
            self._restore(data)
        except InvalidArgument as error:
            self._of.notice(f"What was learnt about leads is passed over, and learnt again: {error}")

    async def run(self) -> None:
        wait_s = self._of.config.leads_ms / 1000
        while True:
            await asyncio.sleep(wait_s)
            begun_ms = self._of.now_ms()
            await self.keep()
            took_s = (self._of.now_ms() - begun_ms) / 1000
            wait_s = max(self._of.config.leads_ms / 1000, LEAST_SHARE * took_s)

    async def keep(self) -> None:
        """Write it, where something was learnt since the last time."""
        arrivals = self._of.arrivals
        learnt = arrivals.learnt
        if learnt == self._kept:
            return
        try:
            data = await self._compressed()
            await self._blobs.put(PREFIX + _name(self._of.era), data)
            for era in _eras(await self._blobs.list(PREFIX)):
                if era < self._of.era:
                    await self._blobs.delete(PREFIX + _name(era))
        except EngineError as error:
            self._of.notice(f"What was learnt about leads could not be kept, it is tried again: {error}")
            return
        self._kept = learnt

    async def end(self) -> None:
        """At a graceful end, as long as a process that is told to stop may take."""
        try:
            async with asyncio.timeout(END_S):
                await self.keep()
        except TimeoutError:
            self._of.notice("What was learnt about leads lately could not be kept in time.")

    async def _compressed(self) -> bytes:
        arrivals = self._of.arrivals
        while True:
            state = arrivals.joined, arrivals.learnt
            processes = [""] * len(arrivals.slots)
            for name, slot in arrivals.slots.items():
                processes[slot] = name
            head = _encode(_Head(VERSION, self._of.era, arrivals.dispatch_ms, processes))
            packer = zlib.compressobj(1)
            found = [packer.compress(len(head).to_bytes(4, "big") + head)]
            for piece in estimator_pieces(arrivals.estimator):
                found.append(packer.compress(piece))
                await asyncio.sleep(0)
                if (arrivals.joined, arrivals.learnt) != state:
                    break
            else:
                return b"".join([*found, packer.flush()])
            await asyncio.sleep(self._of.config.look_ms / 1000)

    def _restore(self, data: bytes) -> None:
        """Raises InvalidArgument: it cannot be read, or is of another version or fleet."""
        arrivals = self._of.arrivals
        unpacker = zlib.decompressobj()
        try:
            plain = unpacker.decompress(data, MAX_HEAD + snapshot_bytes(arrivals.estimator))
            length = int.from_bytes(plain[:4], "big")
            head = _decode(plain[4 : 4 + length])
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{len(data)} bytes cannot be read: {error}.") from error
        if not unpacker.eof:
            raise InvalidArgument(f"{len(data)} bytes are cut off, or more than this fleet can have learnt.")
        if head.version != VERSION:
            raise InvalidArgument(f"It is of version {head.version}; this process reads {VERSION}.")
        is_sound = len(set(head.processes)) == len(head.processes) <= HOSTS
        if not is_sound or not 0 <= head.dispatch_ms < float("inf"):
            raise InvalidArgument("It holds what cannot have been learnt.")
        restore_estimator(arrivals.estimator, plain[4 + length :])
        arrivals.dispatch_ms = head.dispatch_ms
        arrivals.slots = {name: slot for slot, name in enumerate(head.processes)}


def _name(era: int) -> str:
    return f"{era:020}"


def _eras(keys: list[str]) -> list[int]:
    """Ascending; other keys are none of ours."""
    names = (key.removeprefix(PREFIX) for key in keys)
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())
