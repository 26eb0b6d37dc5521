"""Names that a shell completes: kinds, workers and tasks of the mesh that is meant.

A completion may neither wait nor speak: the mesh has ASK_S to answer, then the names of last time have to do, or none.
What was heard is kept for FRESH_S in a private file of the user's cache directory, one for each mesh.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import platformdirs
from click.shell_completion import CompletionItem
from msgspec import Struct

from ohmesh.cli.options import read_settings
from ohmesh.errors import OhmeshError

if TYPE_CHECKING:
    from ohmesh.config import Config

FRESH_S = 5.0
ASK_S = 0.2
MAX_TASKS = 200


class LiveNames(Struct, frozen=True):
    kinds: list[str] = []
    workers: list[str] = []
    tasks: list[str] = []

    def of(self, parameter: str) -> list[str]:
        """What the parameter of that name may be."""
        names = {"kind": self.kinds, "worker": self.workers, "task_id": self.tasks, "task_ids": self.tasks}
        return names.get(parameter, [])


def complete_name(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What begins so, for a parameter that names a kind, a worker or a task."""
    try:
        config = read_settings(context.params, context.params.get("config_file"))
    except OhmeshError:
        return []  # it is told when the command is run
    logging.disable()  # here, where the whole process is a completion: what follows is others' too
    names = live_names(config).of(parameter.name or "")
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_context(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from ohmesh.assembly.contexts import read_contexts

    try:
        return [CompletionItem(name) for name in read_contexts().contexts if name.startswith(incomplete)]
    except OhmeshError:
        return []


def live_names(config: Config) -> LiveNames:
    """Fresh ones, else those of last time, else none; after little more than ASK_S at most."""
    path = cache_file(config)
    kept, age_s = _read(path)
    if age_s <= FRESH_S:
        return kept
    heard = _ask_in_time(config)
    if heard is None:
        return kept
    _write(path, heard)
    return heard


def cache_file(config: Config) -> Path:
    meant = f"{config.engine.url}|{config.mesh.data}|{config.mesh.name}"
    name = hashlib.blake2b(meant.encode(), digest_size=8).hexdigest()
    return Path(platformdirs.user_cache_dir("ohmesh")) / f"names-{name}.json"


def _ask_in_time(config: Config) -> LiveNames | None:
    """Asked in a thread, which is left behind where the mesh is slow: closing a connection may take its time too."""
    from ohmesh.assembly import connect_client  # what takes long to import does not count
    from ohmesh.model.message import ListTasks

    answers: list[LiveNames] = []

    async def ask() -> None:
        async with connect_client(config) as client:
            hosts = await client.requests.list_hosts(timeout_s=ASK_S)
            page = await client.requests.list_tasks(ListTasks(limit=MAX_TASKS), timeout_s=ASK_S)
            kinds = {kind for host in hosts for kind in host.kinds} | {task.kind for task in page.tasks}
            answers.append(
                LiveNames(sorted(kinds), [host.host for host in hosts], [task.task_id for task in page.tasks])
            )

    def run() -> None:
        try:
            asyncio.run(ask())
        except Exception:  # noqa: BLE001 - a completion offers names or nothing, it has no place for words
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until_s = time.monotonic() + ASK_S
    while not answers and thread.is_alive() and time.monotonic() < until_s:
        thread.join(0.01)
    return answers[0] if answers else None


def _read(path: Path) -> tuple[LiveNames, float]:
    try:
        names = msgspec.json.decode(path.read_bytes(), type=LiveNames)
        return names, max(0.0, time.time() - path.stat().st_mtime)
    except (OSError, msgspec.MsgspecError):
        return LiveNames(), float("inf")


def _write(path: Path, names: LiveNames) -> None:
    from ohmesh.assembly.contexts import write_private

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, msgspec.json.encode(names))
    except OSError:
        return  # the next completion asks again
