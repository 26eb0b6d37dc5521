"""`ohmesh lock NAME -- COMMAND ...`: one run of a command at a time in the whole mesh."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from ohmesh.cli.exit_codes import ExitCode
from ohmesh.cli.options import read_settings, which_mesh_options
from ohmesh.cli.output import Output
from ohmesh.config import LOCK_TOKEN_VARIABLE, Config
from ohmesh.errors import InvalidArgument

GRACE_S = 10.0
SIGNALLED = 128  # as shells say it

EPILOG = """\b
Examples:
  ohmesh lock nightly-report -- ./report.sh
  ohmesh lock deploy --wait 0 -- make deploy         exit code 3 when another holds it
  ohmesh lock migrate --ttl 30 -- sh -c './migrate --fence "$OHMESH_LOCK_TOKEN"'"""


@click.command("lock", epilog=EPILOG)
@click.argument("name", metavar="NAME")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND...", type=click.UNPROCESSED)
@click.option(
    "--ttl",
    "ttl_s",
    type=click.FloatRange(0.5, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the lock outlives this process if it is killed; it is renewed all the while.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Give up after this long. [default: wait for ever]",
)
@which_mesh_options
def command(
    name: str,
    words: tuple[str, ...],
    ttl_s: float,
    wait_s: float | None,
    config_file: Path | None,
    **given: object,
) -> int:
    """Run COMMAND while holding the lock NAME of the mesh; one holder at a time, first come first served.

    The exit code is that of COMMAND. It finds the fencing token in OHMESH_LOCK_TOKEN. If the lock is lost while it
    runs (the mesh was out of reach for longer than the ttl, or somebody took it away), COMMAND is ended and the exit
    code is 1. docs/locks.md says what a lock cannot do.
    """
    return asyncio.run(_run(read_settings(given, config_file), name, words, ttl_s, wait_s))


async def _run(
    settings: Config, name: str, words: tuple[str, ...], ttl_s: float, wait_s: float | None
) -> int:
    from ohmesh.assembly import connect_client
    from ohmesh.mesh.locking import take

    async with connect_client(settings) as client:
        lock = await take(client, name, round(ttl_s * 1000), wait_s)
        try:
            with _signals_passed_on() as signals:
                child = await _begun(words, {**os.environ, LOCK_TOKEN_VARIABLE: str(lock.token)})
                signals.pass_to(child)
                ended = asyncio.create_task(child.wait())
                lost = asyncio.create_task(lock.lost())
                await asyncio.wait([ended, lost], return_when=asyncio.FIRST_COMPLETED)
                lost.cancel()
                if not ended.done():
                    Output().error(str(lock.loss()))
                    await _end(child, ended)
                    return ExitCode.FAILED
                code = await ended
        finally:
            await lock.release()
    return code if code >= 0 else SIGNALLED - code


async def _begun(words: tuple[str, ...], environment: dict[str, str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(*words, env=environment)
    except OSError as error:
        raise InvalidArgument(f"{words[0]} cannot be run: {error.strerror}.") from error


class _Signals:
    """Where a signal goes that would end us: to the command, which may have to be begun first."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._is_told = False

    def terminate(self) -> None:
        self._is_told = True
        if self._child is not None:
            _terminate(self._child)

    def pass_to(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        if self._is_told:
            _terminate(child)


@contextmanager
def _signals_passed_on() -> Iterator[_Signals]:
    """What would end this process ends the command, and this process with it, after the lock is released. From before
    the command begins: nobody else would end it."""
    loop, signals = asyncio.get_running_loop(), _Signals()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal sends Ctrl-C to the command as well
    loop.add_signal_handler(signal.SIGTERM, signals.terminate)
    try:
        yield signals
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)


def _terminate(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()


async def _end(child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    _terminate(child)
    await asyncio.wait([ended], timeout=GRACE_S)
    if not ended.done():
        with suppress(ProcessLookupError):
            child.kill()
        await ended
