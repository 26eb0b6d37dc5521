"""Agents that runner processes load in tests: some good, most evil."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ohmesh.errors import Permanent, RetryLater
from ohmesh.handlers.declaration import agent
from ohmesh.policies.failure import Backoff


@agent
def add(first: int, second: int) -> int:
    return first + second


@agent(timeout=30, retries=3, capabilities=("gpu",))
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


class Flaky(ConnectionError):
    pass


def _raises(what: str) -> None:
    errors = {"flaky": Flaky("cut off"), "gone": FileNotFoundError("gone"), "value": ValueError("wrong")}
    raise errors[what]


@agent(retry_on=(OSError,), give_up_on=FileNotFoundError, backoff=Backoff(base=4, cap=4))
def choosy(what: str) -> None:
    _raises(what)


@agent(retry_on=(OSError,), give_up_on=FileNotFoundError, backoff=Backoff(base=4, cap=4))
async def choosy_async(what: str) -> None:
    _raises(what)


@agent(give_up_on=ValueError)
def lenient(what: str) -> None:
    _raises(what)


@agent(slots=1)
def alone(path: str) -> bool:
    """True when no other call of this agent ran at the same time on this host."""
    marker = Path(path)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    time.sleep(0.01)
    marker.unlink()
    return True


@agent
def note(path: str, word: str) -> str:
    """Leave a trace of having run."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{word}\n".encode())
    os.close(descriptor)
    return word


@agent
def spawn_and_wait(path: str) -> None:
    """Start a program, write its pid, wait for ever."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(path).write_text(str(program.pid))
    program.wait()


class Unencodable:
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


@agent
def evil(deed: str) -> object:
    return _DEEDS[deed]()


@agent
async def evil_async(deed: str) -> object:
    await asyncio.sleep(0)
    return _DEEDS[deed]()


@agent
def act(deed: str, path: str) -> str:
    """One item of an envelope: it writes down that it began, then does what it is told."""
    with Path(path).open("ab", buffering=0) as file:
        file.write(f"{deed}\n".encode())
    word, _, seconds = deed.partition(" ")
    if word == "sleep":
        time.sleep(float(seconds))
    elif word == "die":
        os._exit(3)
    elif word == "raise":
        raise ValueError(deed)
    return deed


@agent
async def act_async(deed: str, path: str) -> str:
    word, _, seconds = deed.partition(" ")
    if word == "sleep":
        await asyncio.sleep(float(seconds))
        return deed
    return act(deed, path)


@agent
async def add_async(first: int, second: int) -> int:
    await asyncio.sleep(0)
    return first + second


@agent
async def sleep_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@agent
async def block_async(seconds: float) -> str:
    await asyncio.sleep(0.01)
    time.sleep(seconds)
    return "blocked"


@agent
async def block_in_part(seconds: float) -> str:
    async def part() -> None:
        await asyncio.sleep(0.01)
        time.sleep(seconds)

    await asyncio.gather(part(), asyncio.sleep(0.02))
    return "blocked"


@agent
async def exit_in_part() -> None:
    async def part() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    await asyncio.gather(part())


@agent
async def stubborn() -> str:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue


@agent
async def crash_in_thread(seconds: float) -> None:
    def crash() -> None:
        time.sleep(seconds)
        os._exit(9)

    await asyncio.to_thread(crash)


def _prints() -> str:
    print("x" * 200)  # noqa: T201 - what is tried
    sys.stdout.flush()
    os.write(1, b"\x00\xff garbage on standard output\n")
    return "printed"


def _forks() -> str:
    if os.fork() == 0:
        return "the child answers too"
    return "forked"


def _forks_by_multiprocessing() -> int:
    process = multiprocessing.get_context("fork").Process(target=print)
    process.start()
    process.join()
    return process.exitcode or 0


def _raise(error: BaseException) -> object:
    raise error


def _recurse() -> object:
    return _recurse()


def _cyclic() -> object:
    value: list[object] = []
    value.append(value)
    return value


def _for_ever() -> object:
    while True:
        time.sleep(60)


def _segfault() -> object:
    return ctypes.string_at(0)


def _write_garbage(length: int) -> object:
    """Into every file that is open, the connection to the pool among them."""
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, length.to_bytes(4, "little") + b"\xc1\xc1\xc1")
    return _for_ever()


def _scribble() -> object:
    """Over the shared page, wherever it is."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "ohmesh-runner" in line:
            start, end = (int(one, 16) for one in line.split()[0].split("-"))
            ctypes.memset(start, 0xC1, end - start)
    return _for_ever()


def _close_everything() -> object:
    os.closerange(3, 256)
    return _for_ever()


_DEEDS = {
    "prints": _prints,
    "forks": _forks,
    "forks_by_multiprocessing": _forks_by_multiprocessing,
    "raises": lambda: _raise(ValueError("bad value")),
    "raises_base": lambda: _raise(BaseException("the base")),
    "raises_system_exit": lambda: sys.exit(3),
    "raises_keyboard_interrupt": lambda: _raise(KeyboardInterrupt()),
    "raises_generator_exit": lambda: _raise(GeneratorExit()),
    "raises_cancelled": lambda: _raise(asyncio.CancelledError()),
    "raises_permanent": lambda: _raise(Permanent("never again")),
    "raises_retry_later": lambda: _raise(RetryLater("busy", delay_ms=1234)),
    "raises_unprintable": lambda: _raise(Unprintable()),
    "raises_surrogates": lambda: _raise(ValueError("\ud800")),
    "recurses": _recurse,
    "returns_unencodable": Unencodable,
    "returns_cyclic": _cyclic,
    "returns_huge_number": lambda: 1 << 80,
    "returns_huge": lambda: b"x" * 50_000_000,
    "returns_large": lambda: b"x" * 300_000,
    "closes_everything": _close_everything,
    "writes_garbage": lambda: _write_garbage(3),
    "announces_a_huge_frame": lambda: _write_garbage((1 << 32) - 1),
    "scribbles": _scribble,
    "exits": lambda: os._exit(7),
    "kills_itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfaults": _segfault,
    "never_returns": _for_ever,
}
