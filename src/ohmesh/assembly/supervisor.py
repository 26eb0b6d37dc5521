"""`ohmesh up`: one process that owns the embedded engine and the runtime file, and keeps nodes and workers alive.

    supervisor ---- nats-server            restarted by engines/nats/embedded.py, always with what it acknowledged
               |--- node-1, node-2         each takes over the other's roles
               |--- worker-1 ...           the built-in kinds
               `--- api                    the door for HTTP, where its libraries are installed

Nothing durable lives here: when the supervisor is killed all its children end too, and `up` on the same data goes on
where they were. Workers started elsewhere wait for it: they read the runtime file at each reconnect.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine, Sequence

from ohmesh.api.config import ApiConfig, is_installed
from ohmesh.assembly.children import Child
from ohmesh.assembly.connection import connect_client, connect_engine, find_shape, publish_shape
from ohmesh.assembly.data_watch import watch_data
from ohmesh.assembly.settings import child_environment, data_directory
from ohmesh.assembly.system import SystemClock
from ohmesh.assembly.termination import on_termination
from ohmesh.assembly.worker import machine_name
from ohmesh.assembly.worker_watch import watch_workers
from ohmesh.config import Config
from ohmesh.engines.ledger import checked_ledger
from ohmesh.engines.nats.embedded import EmbeddedConfig, EmbeddedServer
from ohmesh.engines.nats.ownership import Lock, acquire_owner_lock
from ohmesh.engines.nats.runtime_file import (
    RuntimeFile,
    read_runtime_file,
    remove_runtime_file,
    write_runtime_file,
)
from ohmesh.engines.nats.server_config import Durability
from ohmesh.errors import EngineFailed
from ohmesh.roles.fleet.config import FleetConfig

Notice = Callable[[str], None]

_BESIDE = (
    "One is enough for a machine. End it with `ohmesh down`, which ends this machine's part only; or give another a "
    "data directory of its own: --data DIR beside --context NAME, or beside --url URL --seed-file FILE."
)


class Supervisor:
    """`start`, then `wait`, then `stop`. `workers`, `nodes` and `api` are its children, `targets` what the workers do,
    `fleet` processes of simulated agents, which took `fleet_ready_s` to join, `shards` how many the mesh was started
    with, `url` the address of the engine, `ledger` that of history, without secrets, where it is not in `data`."""

    def __init__(self, config: Config, *, targets: Sequence[str], notice: Notice) -> None:
        self.config = config
        self.data = data_directory(config)
        self.server: EmbeddedServer | None = None
        self.nodes: list[Child] = []
        self.workers: list[Child] = []
        self.fleet: list[Child] = []
        self._replacing: dict[str, asyncio.Task[None]] = {}
        self.fleet_ready_s = 0.0
        self.ledger = ""
        self.shards = 0
        self.api: Child | None = None
        self.targets = tuple(targets)
        self._notice = notice
        self._owner: Lock | None = None
        self._guards: list[asyncio.Task[None]] = []
        self._started_ms = SystemClock().now_ms()

    @property
    def url(self) -> str:
        return self.server.url if self.server is not None else self.config.engine.url

    @property
    def children(self) -> list[Child]:
        return [*self.nodes, *self.workers, *self.fleet, *([self.api] if self.api else [])]

    async def start(self) -> None:
        """Return once every shard has its dispatcher and every worker has joined. Undone when it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Return never; raise EngineFailed when the engine cannot be kept alive, or its data are gone."""
        await asyncio.gather(*self._guards)

    async def stop(self) -> None:
        """The door closes, workers hand back and leave, nodes give up their roles, the engine ends; idempotent."""
        if self.api is not None:
            await self.api.stop()
        await asyncio.gather(*(child.stop() for child in [*self.workers, *self.fleet]))
        await asyncio.gather(*(node.stop() for node in self.nodes))
        for guard in self._guards:
            guard.cancel()
        await asyncio.gather(*self._guards, return_exceptions=True)
        if self.server is not None:
            remove_runtime_file(self.data.runtime_file, pid=os.getpid())
            await self.server.stop()
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def kill(self) -> None:
        """End the children at once; what they did is in the log or was never acknowledged."""
        for child in self.children:
            child.kill()

    async def _start(self) -> None:
        if self.config.mesh.ledger:
            self.ledger = await checked_ledger(self.config.mesh.ledger)
        is_chosen, shards = "mesh.shards" in self.config.given, self.config.mesh.shards
        if self.config.engine.url and not is_chosen:
            shards = await self._shards_there() or shards
        shape = self.data.prepare(shards, is_chosen=is_chosen, joins=bool(self.config.engine.url))
        self.shards = shape.shards
        if self.config.engine.url:
            self._owner = acquire_owner_lock(self.data.root, hint=_BESIDE)
        else:
            await self._start_engine()
        async with connect_engine(self.config) as engine:
            self.data.belong(await publish_shape(engine.state, shape))
        self._guard(watch_data(self.data, mend=self._mend_address))
        self._start_children()
        patience_ms = self.config.supervisor.ready_timeout_ms
        try:
            async with asyncio.timeout(patience_ms / 1000):
                await self._until_ready()
                if self.server is not None:
                    await self.server.sync_streams()
        except TimeoutError:
            silent = [child.name for child in self.children if not child.is_ready]
            names = ", ".join(silent or ["a dispatcher"])
            raise EngineFailed(
                f"The mesh was not ready within {patience_ms} ms; not heard from: {names}.",
                hint="The lines above say why; OHMESH_SUPERVISOR_READY_TIMEOUT_MS allows more time.",
            ) from None

    async def _shards_there(self) -> int:
        """Who comes to an engine where the mesh has been started takes it as it is; 0 where it has not."""
        async with connect_engine(self.config) as engine:
            shape = await find_shape(engine.state)
            return shape.shards if shape else 0

    def _start_children(self) -> None:
        environment = child_environment(self.config)
        settings = self.config.supervisor
        self.nodes = [
            Child(
                f"node-{number}",
                ["node", "--name", f"node-{number}"],
                environment=environment,
                config=settings,
                notice=self._notice,
            )
            for number in range(1, self.config.mesh.nodes + 1)
        ]
        self.workers = [
            Child(
                f"worker-{number}",
                ["worker", *self.targets, "--name", self._worker_name(number), "--json"],
                environment=environment,
                config=settings,
                notice=self._notice,
            )
            for number in range(1, self.config.mesh.workers + 1)
        ]
        self.fleet = [
            Child(
                name,
                ["fleet-host", "--name", name, *span],
                environment=environment,
                config=settings,
                notice=self._notice,
            )
            for name, span in self._spans_of_agents().items()
        ]
        if self.config.of(ApiConfig).enabled and is_installed():
            self.api = Child(
                "api", ["api", "--json"], environment=environment, config=settings, notice=self._notice
            )
        for node in self.nodes:
            node.respawn = self._respawn
        for child in self.children:
            child.start()

    def _respawn(self, name: str) -> None:
        """Somebody wants a process of the fleet anew; every node says so, and it is done once."""
        child = next((each for each in self.fleet if each.name == name), None)
        if child is not None and name not in self._replacing:
            self._notice(f"{name} is replaced")
            task = self._replacing[name] = asyncio.ensure_future(child.replace())
            task.add_done_callback(lambda _done: self._replacing.pop(name, None))

    def _spans_of_agents(self) -> dict[str, list[str]]:
        """Which agents each process of the fleet holds; whole sectors, so that what is said stays at home. The last one
        is for agents with a connection of their own."""
        fleet = self.config.of(FleetConfig)
        size = fleet.topology.sector_size
        sectors = -(-fleet.agents // size)
        hosts = min(fleet.hosts, sectors)
        cuts = [sectors * number // hosts * size for number in range(hosts)] + [fleet.agents] if hosts else []
        spans = {
            f"fleet-{number}": ["--first", str(first), "--count", str(end - first)]
            for number, (first, end) in enumerate(itertools.pairwise(cuts), start=1)
        }
        first, count = fleet.remote_places
        if count and (fleet.enabled or fleet.agents):
            spans["fleet-remote"] = ["--first", str(first), "--count", str(count), "--remote"]
        return spans

    def _worker_name(self, number: int) -> str:
        """The same after a restart, so that what the predecessor held is void at once; unique on a shared engine."""
        return f"worker-{number}" if self.server is not None else f"{machine_name()}-worker-{number}"

    async def _until_ready(self) -> None:
        begun_s = asyncio.get_running_loop().time()
        await asyncio.gather(self._fleet_ready(begun_s), *(child.ready() for child in self.children))
        async with connect_client(self.config) as client:
            await client.requests.describe(timeout_s=self.config.supervisor.ready_timeout_ms / 1000)

    async def _fleet_ready(self, begun_s: float) -> None:
        await asyncio.gather(*(child.ready() for child in self.fleet))
        self.fleet_ready_s = asyncio.get_running_loop().time() - begun_s

    async def _start_engine(self) -> None:
        settings = self.config.engine
        self.server = EmbeddedServer(
            EmbeddedConfig(
                data=self.data.root,
                durability=Durability(settings.durability),
                port=settings.port,
                websocket_port=settings.websocket_port or None,
                notice=self._notice,
            )
        )
        await self.server.start()
        self._write_runtime_file()
        self._guard(self.server.supervise(self._tell_address))

    def _guard(self, watching: Coroutine[object, object, None]) -> None:
        self._guards.append(asyncio.create_task(watching, name=f"guard-{len(self._guards)}"))

    def _mend_address(self) -> None:
        """Somebody may have damaged or removed the file, and then nobody new would find us."""
        if self.server is None:
            return
        try:
            written = read_runtime_file(self.data.runtime_file)
        except EngineFailed:
            written = None
        if written is None or written.url != self.server.url:
            self._tell_address()

    def _tell_address(self) -> None:
        """The server was started again, nearly always where it was before."""
        try:
            self._write_runtime_file()
        except OSError as error:
            self._notice(
                f"{self.data.runtime_file} cannot be written ({error.strerror}); it says {self.url} now"
            )

    def _write_runtime_file(self) -> None:
        assert self.server is not None
        write_runtime_file(
            self.data.runtime_file,
            RuntimeFile(
                self.config.mesh.name,
                self.server.url,
                os.getpid(),
                str(self.server.seed_file.absolute()),
                self._started_ms,
            ),
        )


async def run_supervisor(
    config: Config, *, targets: Sequence[str], ready: Callable[[Supervisor], None], notice: Notice
) -> None:
    """Keep a mesh running until SIGINT or SIGTERM, then end it in order. A second signal ends it at once.

    Raises EngineInUse (somebody runs it already), InvalidArgument or EngineFailed (it cannot run).
    """
    supervisor = Supervisor(config, targets=targets, notice=notice)
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()  # first: whoever read our words may have gone, and then they raise
        notice("ending: workers hand back what they have not started (again Ctrl-C: end at once)")

    on_termination(stop, force=supervisor.kill)
    tasks = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(_run(supervisor, ready, notice))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.is_set():
            await tasks[1]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await supervisor.stop()


async def _run(supervisor: Supervisor, ready: Callable[[Supervisor], None], notice: Notice) -> None:
    await supervisor.start()
    ready(supervisor)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.wait())
        group.create_task(watch_workers(supervisor.config, notice))
