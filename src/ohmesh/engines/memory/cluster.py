"""The memory engine: one server in this process, and as many connections to it as there are simulated processes.

On a real loop and without faults it is an engine for tests of users; on the simulator's loop it does what real engines
were seen to do. Connections are made by `MemoryCluster.connect`; its other methods are the hand of fate.
"""

from __future__ import annotations

from ohmesh.engines.memory.blobs import BlobStore, MemoryBlobs
from ohmesh.engines.memory.bus import Exchange, MemoryBus
from ohmesh.engines.memory.faults import CallFate, EngineFaults, EngineLimits, draw
from ohmesh.engines.memory.journal import last_sync
from ohmesh.engines.memory.link import Link
from ohmesh.engines.memory.log import LogStores, MemoryLog
from ohmesh.engines.memory.server import Observe, Server
from ohmesh.engines.memory.state import MemoryState, StateStore
from ohmesh.ports.log import Entry


class MemoryEngine:
    """What one process sees: the four ports, over one connection."""

    def __init__(self, cluster: MemoryCluster, link: Link) -> None:
        self.process = link.process
        self.bus = MemoryBus(link, cluster.exchange)
        self.log = MemoryLog(link, cluster.logs)
        self.state = MemoryState(link, cluster.state)
        self.blobs = MemoryBlobs(link, cluster.blobs)
        self._link = link

    @property
    def is_online(self) -> bool:
        return self._link.is_online

    async def close(self) -> None:
        """Disconnect; what is on its way arrives, what is awaited fails. Idempotent."""
        self._link.close()


class MemoryCluster:
    """The server and what befalls it. `keeps_history`: trimmed entries stay visible to `history`."""

    def __init__(
        self,
        *,
        faults: EngineFaults | None = None,
        limits: EngineLimits | None = None,
        seed: int = 0,
        keeps_history: bool = False,
        observe: Observe | None = None,
    ) -> None:
        self.server = Server(
            faults=faults or EngineFaults(), limits=limits or EngineLimits(), seed=seed, observe=observe
        )
        self.exchange = Exchange(self.server)
        self.logs = LogStores(self.server, keeps_history=keeps_history)
        self.state = StateStore(self.server)
        self.blobs = BlobStore(self.server)
        self._links: list[Link] = []
        self._connected: dict[str, int] = {}
        self._partitioned: set[str] = set()
        self._fate_rng = self.server.rng("fate")

    def connect(self, process: str) -> MemoryEngine:
        """A new connection for `process`; its subscriptions and watches run in the context they are made in."""
        count = self._connected.get(process, 0) + 1
        self._connected[process] = count
        number = sum(self._connected.values())
        link = Link(self.server, process, number, f"{process}/{count}")
        link.is_partitioned = process in self._partitioned
        link.is_online = link.hears
        self._links = [one for one in self._links if not one.is_closed]
        self._links.append(link)
        return MemoryEngine(self, link)

    def set_faults(self, faults: EngineFaults) -> None:
        """From now on; what is on its way keeps the delays it drew."""
        self.server.faults = faults

    def script_appends(self, *fates: CallFate) -> None:
        """The next appends, whoever makes them, end like this, one each."""
        self.server.scripted.extend(fates)

    def kill_server(self) -> None:
        """kill -9: of the calls in flight some land and none is answered; everything acknowledged stays."""
        if self.server.is_up:
            for link in self._links:
                link.land_some()
            self._go_down("server-killed")

    def start_server(self) -> None:
        if not self.server.is_up:
            self.server.is_up = True
            self.server.is_paused = False
            self.server.record("server-started", "")
            self.state.resume()
            self._review_links()

    def power_cut(self, *, torn: bool = False) -> int:
        """The server is gone and so is what was not durable; returns how many changes that were.

        Their sequences and revisions are used again. torn: each log, the state and the blobs keep a part of their own
        of what was not durable yet, as a disk does that was writing on its own account.
        """
        now = self.server.now()
        if self.server.is_up:
            self._go_down("power-cut")
        since = last_sync(now, self.server.faults.durable_every_ms / 1000.0)
        journals = [store.journal for store in self.logs.by_name.values()]
        lost = 0
        for journal in [*journals, self.state.journal, self.blobs.journal]:
            lost += journal.cut(self._fate_rng.uniform(since, now) if torn and since < now else since)
        return lost

    def pause_server(self) -> None:
        """SIGSTOP: connections stand, nothing is answered; what arrives is done after the pause."""
        if self.server.answers:
            self.server.is_paused = True
            self.server.record("server-paused", "")
            self._review_links()

    def resume_server(self) -> None:
        if self.server.is_up and self.server.is_paused:
            self.server.is_paused = False
            self.server.record("server-resumed", "")
            self.state.resume()
            self.server.drain_inbox()
            self._review_links()

    def partition(self, process: str) -> None:
        """Nothing passes between `process` and the server, in either direction, its next incarnations included."""
        self._partitioned.add(process)
        self.server.record("partitioned", process)
        for link in self._of(process):
            link.is_partitioned = True
            self._review(link)

    def heal(self, process: str) -> None:
        if process in self._partitioned:
            self._partitioned.discard(process)
            self.server.record("healed", process)
            for link in self._of(process):
                link.is_partitioned = False
                self._review(link)

    def heal_all(self) -> None:
        """No partition, a running server."""
        self.start_server()
        self.resume_server()
        for process in sorted(self._partitioned):
            self.heal(process)

    def crash(self, process: str) -> None:
        """`process` is gone: what it had sent may still arrive, nothing that it does from now on has effect."""
        for link in self._of(process):
            link.land_some()
            link.close()
            self.server.record("crashed", process)

    def history(self, log: str) -> list[Entry]:
        """Every entry of the log, the trimmed ones too (see keeps_history), read beside all faults."""
        store = self.logs.named(log)
        return list(store.history or store.entries)

    def _go_down(self, how: str) -> None:
        self.server.is_up = False
        self.server.is_paused = False
        self.server.empty_inbox()
        self.server.record(how, "")
        for link in self._links:
            link.lost()

    def _of(self, process: str) -> list[Link]:
        return [link for link in self._links if link.process == process and not link.is_closed]

    def _review_links(self) -> None:
        for link in self._links:
            self._review(link)

    def _review(self, link: Link) -> None:
        """Let the client notice, after its time, that it has lost the server or can have it back."""
        limits = self.server.limits
        if not link.hears and link.is_online:
            self.server.schedule(limits.notice_ms / 1000.0, link.lost)
        elif link.hears and link.is_online:
            link.refresh()
        elif link.hears:
            self.server.schedule(draw(link.rng, limits.reconnect_ms), link.restored)
