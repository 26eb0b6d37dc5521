"""Reaching a mesh: its engine, its shape, and a client of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import structs

from ohmesh.assembly.data_directory import Shape
from ohmesh.assembly.settings import data_directory
from ohmesh.assembly.standing import vanished_pid
from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.config import Config, EngineConfig
from ohmesh.engines.nats.config import NatsConfig, Notice, log_notice
from ohmesh.engines.nats.engine import NatsEngine
from ohmesh.engines.nats.runtime_file import read_runtime_file
from ohmesh.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidArgument,
    MeshUnreachable,
    NotAuthorised,
    RevisionConflict,
)
from ohmesh.model.subject import Subjects
from ohmesh.ports.state import State
from ohmesh.roles.client import Client
from ohmesh.roles.client_config import ClientConfig, ClientPorts

SHAPE_KEY = "shape"
_SHAPE_POLL_S = 0.1


@contextlib.asynccontextmanager
async def connect_engine(config: Config, *, notice: Notice = log_notice) -> AsyncIterator[NatsEngine]:
    """The engine at `engine.url`, or the one of the mesh that runs in the data directory."""
    settings = config.engine
    data = data_directory(config)
    if not settings.url and read_runtime_file(data.runtime_file) is None:
        raise MeshUnreachable(
            f"No mesh runs in {data.root}.",
            hint="Start one with `ohmesh up`, or say which one with --data DIR or --url URL.",
        )
    try:
        engine = await NatsEngine.connect(
            settings.url,
            mesh=config.mesh.name,
            seed_file=_seed_file(settings),
            runtime_file=None if settings.url else data.runtime_file,
            config=replace(config.of(NatsConfig), notice=_one_voice(config.mesh.name, notice)),
        )
    except (EngineUnavailable, NotAuthorised) as error:  # its port may be another server's by now
        pid = 0 if settings.url else vanished_pid(data)
        if not pid:
            raise
        raise MeshUnreachable(
            f"The mesh that ran in {data.root} (process {pid}) is gone.",
            hint="Run `ohmesh up`: it goes on where it was.",
        ) from error
    try:
        _honour_cancellation()
        yield engine
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def connect_client(
    config: Config, *, notice: Notice = log_notice, advice: Notice = log_notice
) -> AsyncIterator[Client]:
    """A started client of the mesh. Leaving waits a little for what is not answered yet.

    notice: hears of the engine; advice: what the caller of the client should know, such as that it waits in vain.
    """
    async with connect_engine(config, notice=notice) as engine:
        shape = await read_shape(engine.state, config.mesh.name)
        client = Client(
            ClientPorts(engine.bus, SystemClock(), SystemEntropy(), engine.log, engine.blobs),
            subjects=Subjects(config.mesh.name),
            shards=shape.shards,
            config=config.of(ClientConfig),
            notice=advice,
        )
        await client.start()
        try:
            yield client
        finally:
            await client.close()


async def read_shape(state: State, mesh: str, *, patience_s: float = 0.0) -> Shape:
    """The shape of the mesh as it stands in `state`; waits for it so long, while a mesh is being started."""
    deadline_s = asyncio.get_running_loop().time() + patience_s
    while True:
        shape = await find_shape(state)
        if shape is not None:
            return shape
        if asyncio.get_running_loop().time() >= deadline_s:
            raise MeshUnreachable(
                f"The engine is reached, but no mesh {mesh!r} was ever started on it.",
                hint="Check --mesh, or start it with `ohmesh up --url URL --mesh NAME`.",
            )
        await asyncio.sleep(_SHAPE_POLL_S)


async def find_shape(state: State) -> Shape | None:
    """None where no mesh of this name was ever started."""
    entry = await state.get(SHAPE_KEY)
    return None if entry is None or entry.value is None else _decoded(entry.value)


async def publish_shape(state: State, shape: Shape) -> Shape:
    """Say once for all how this mesh is cut and which it is; refuses to differ from what was said before.

    Returns what stands there now, with its id.
    """
    while True:
        entry = await state.get(SHAPE_KEY)
        present = None if entry is None or entry.value is None else _decoded(entry.value)
        _check_same(present, shape)
        if present is not None and present.id:
            return present
        complete = structs.replace(shape, id=shape.id or new_mesh_id())
        with contextlib.suppress(RevisionConflict):
            await state.put(SHAPE_KEY, msgspec.json.encode(complete), expected=entry.revision if entry else 0)
            return complete


def new_mesh_id() -> str:
    return f"{SystemEntropy().bits(64):016x}"


def _check_same(present: Shape | None, shape: Shape) -> None:
    if present is None:
        return
    if present.id and shape.id and present.id != shape.id:
        raise InvalidArgument(
            f"The engine holds another mesh {shape.mesh!r} than that of this data directory (its id is {present.id}, "
            f"not {shape.id}).",
            hint="Choose a new directory with --data; this one keeps the history of the former mesh.",
        )
    if (present.mesh, present.shards) != (shape.mesh, shape.shards):
        raise InvalidArgument(
            f"The mesh {shape.mesh!r} on this engine was started with {present.shards} shard(s), this data directory "
            f"says {shape.shards}; its kinds would move to other logs, away from their tasks.",
            hint=f"Use the data directory that belongs to it, or a new one with --shards {present.shards}; or start "
            "another mesh with --mesh NAME.",
        )


def _seed_file(settings: EngineConfig) -> Path | None:
    return Path(settings.seed_file).expanduser() if settings.seed_file else None


def _honour_cancellation() -> None:
    """asyncio.wait_for, on which nats-py connects, loses a cancellation that comes with its result (Python < 3.12)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _one_voice(mesh: str, notice: Notice) -> Notice:
    """An engine's three connections are lost and found together: a person hears it from one, the log from all."""
    spokesman = f"ohmesh-{mesh}-bus: "

    def tell(sentence: str) -> None:
        if sentence.startswith(spokesman):
            notice(f"engine: {sentence.removeprefix(spokesman)}")
        elif sentence.startswith(f"ohmesh-{mesh}-"):
            log_notice(sentence)
        else:
            notice(sentence)

    return tell


def _decoded(value: bytes) -> Shape:
    try:
        return msgspec.json.decode(value, type=Shape)
    except msgspec.MsgspecError as error:
        raise EngineFailed(f"The shape of the mesh cannot be read: {error}.") from error
