"""Child processes of the supervisor: `ohmesh node`, `ohmesh worker`, `ohmesh api`, kept alive and ended in order.

Invariants: a child ends with its parent, however that ends (termination.py); one that dies is started again after a
delay that doubles with each death in a row, so a child that cannot live costs next to nothing; Ctrl-C at the terminal
reaches the supervisor only, which ends its children itself. What a child says on standard output are events, one JSON
object to a line; what it says on standard error is for people and is passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

import ohmesh
from ohmesh.config import SupervisorConfig
from ohmesh.errors import EngineFailed

Notice = Callable[[str], None]

REPLACE_GRACE_S = 1.0
LINE_BYTES_MAX = 64 * 1024
USAGE_EXIT = 2
_PACKAGE_PARENT = str(Path(next(iter(ohmesh.__path__))).resolve().parent)


class ChildEvent(msgspec.Struct, frozen=True):
    """What a child tells its parent: that it is ready, and under which name; respawn: that another is wanted anew."""

    event: str
    name: str = ""


class Child:
    """One place for a process; `keep` fills it again whenever it becomes empty. `said_name` is what it calls itself."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        config: SupervisorConfig,
        notice: Notice,
    ) -> None:
        self.name = name
        self.deaths = 0
        self.said_name = ""
        self._arguments = arguments
        self._environment = {**environment, "PYTHONPATH": _extended_path(environment.get("PYTHONPATH", ""))}
        self._config = config
        self._notice = notice
        self.respawn: Callable[[str], None] = lambda name: None
        self._process: asyncio.subprocess.Process | None = None
        self._tie: socket.socket | None = None
        self._ending = asyncio.Event()
        self._ready = asyncio.Event()
        self._refusal = ""
        self._last_words = ""
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and not self._refusal

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=f"child-{self.name}")

    async def ready(self) -> None:
        """Wait until the child has said so. EngineFailed when it says that it never will be."""
        await self._ready.wait()
        if self._refusal:
            raise EngineFailed(f"{self.name} cannot run: {self._refusal}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; no new one is started."""
        self._ending.set()
        self._signal(signal.SIGTERM)
        if self._keeper is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._keeper), self._config.stop_grace_ms / 1000)
        if self.pid:
            self._notice(f"{self.name} did not end within {self._config.stop_grace_ms} ms and is killed")
            self.kill()
        await self._keeper

    async def replace(self) -> None:
        """End this life of it, gently first; another one is started as after a death."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(REPLACE_GRACE_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def kill(self) -> None:
        self._ending.set()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        delay_ms = self._config.respawn_delay_ms
        while True:
            started_s = loop.time()
            code = await self._live()
            if self._ending.is_set():
                return
            if code == USAGE_EXIT and not self._ready.is_set():
                self._refusal = self._last_words.removeprefix("error: ") or "it refused its arguments"
                self._ready.set()
                return
            if (loop.time() - started_s) * 1000 >= self._config.settled_after_ms:
                delay_ms = self._config.respawn_delay_ms
            self.deaths += 1
            self._notice(f"{self.name} {ending(code)}; it is started again in {delay_ms / 1000:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay_ms / 1000)
                return
            delay_ms = min(2 * delay_ms, self._config.respawn_delay_max_ms)

    async def _live(self) -> int:
        """One life: from its start to its end; returns the exit code, negative for a signal."""
        self._tie, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ohmesh",
                *self._arguments,
                "--parent",
                str(os.getpid()),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
            )
        finally:
            theirs.close()
        self._process = process
        if self._ending.is_set():
            self._signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(self._hear_events(process.stdout), self._pass_on(process.stderr))
        code = await process.wait()
        self._tie.close()
        return code

    async def _hear_events(self, stream: asyncio.StreamReader) -> None:
        async for line in lines_of(stream):
            try:
                event = msgspec.json.decode(line, type=ChildEvent)
            except msgspec.MsgspecError:
                self._notice(f"{self.name}: {line}")
                continue
            if event.event == "ready":
                self.said_name = event.name
                self._ready.set()
            elif event.event == "respawn":
                self.respawn(event.name)

    async def _pass_on(self, stream: asyncio.StreamReader) -> None:
        async for line in lines_of(stream):
            self._last_words = line
            self._notice(f"{self.name}: {line}")


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines; one that is longer than the bound comes in pieces."""
    rest = b""
    while data := await stream.read(LINE_BYTES_MAX):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if len(rest) > LINE_BYTES_MAX:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")


def ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _extended_path(path: str) -> str:
    """Where this package was found, last, so that it hides nothing."""
    parts = [part for part in path.split(os.pathsep) if part]
    return os.pathsep.join(parts if _PACKAGE_PARENT in parts else [*parts, _PACKAGE_PARENT])
