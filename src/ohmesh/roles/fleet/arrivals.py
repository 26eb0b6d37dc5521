"""What the orchestrator learns from acks about how long agents take, and the leads that follow for the next operation.

Learning waits until an operation is decided, and then goes on a sector at a time between other work: a frame of 300
takes a millisecond, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohmesh.model.fleet_message import TargetState, Timing, Verb
from ohmesh.model.fleet_request import StartOperation
from ohmesh.model.fleet_table import AckTable
from ohmesh.ports.population import Rows
from ohmesh.protocols.arrival.estimator import ArrivalEstimator
from ohmesh.registry.fleet.registry import FleetRegistry

PAUSE_S = 0.001
KEPT_FRAMES = 20_000
HOSTS = 1_024  # more share neighbourhoods
MARGIN = 0.03
MOST = 0.995
DISPATCH_WEIGHT = 0.02  # of one frame; an operation on a full fleet has some hundred


class _Frame(NamedTuple):
    rows: Rows
    delays_ms: NDArray[np.float64]
    scale: float


class Arrivals:
    """Learnt by one orchestrator, from where its predecessor stood (lead_keeper.py) or from nothing. `dispatch_ms`: how
    long a message that leaves at once is on its way to the last process, as it was lately. slots: which neighbourhood
    each process is, by its name; joined: counts on with every enrolment."""

    def __init__(self, registry: FleetRegistry) -> None:
        self.dispatch_ms = 0.0
        self.learnt = 0
        self.joined = 0
        self.slots: dict[str, int] = {}
        self._registry = registry
        self.topology = topology = registry.topology
        clusters = topology.sectors * topology.clusters
        self.estimator = ArrivalEstimator(topology.size, registry.classes, neighbourhoods=(clusters, HOSTS))
        self._frames: deque[_Frame] = deque(maxlen=KEPT_FRAMES)
        self._wake = asyncio.Event()

    def enrol(self, rows: Rows) -> None:
        """They have joined. What was known of their places is forgotten, unless they are of the same class and in the
        same process as those of whom it was learnt: these are taken for the same."""
        columns, topology = self._registry.columns, self._registry.topology
        slots = self._slots_of(columns.host[rows])
        places = np.stack((rows // topology.agents, slots), axis=1)
        codes = columns.class_code[rows].astype(np.int64)
        kinds = len(self._registry.classes.all)
        estimator = self.estimator
        is_known = (estimator.agents.samples[rows] > 0) & (
            estimator.keys[rows] == places * kinds + codes[:, None]
        ).all(axis=1)
        strangers = ~is_known
        if strangers.any():
            self.joined += 1
            prior_ms = np.maximum(columns.lead_ms[rows[strangers]], 1e-3)
            estimator.enrol(
                rows[strangers], codes[strangers], neighbourhoods=places[strangers], prior_ms=prior_ms
            )

    def _slots_of(self, hosts: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The neighbourhood of each; once all are taken, the process longest known lends its own to a new one."""
        texts = self._registry.hosts.texts
        codes, at = np.unique(hosts, return_inverse=True)
        found = []
        for code in codes.tolist():
            name = texts[code]
            if name not in self.slots:
                slot = len(self.slots)
                if slot >= HOSTS:
                    slot = self.slots.pop(next(iter(self.slots)))
                self.slots[name] = slot
            found.append(self.slots[name])
        return np.array(found, np.int64)[at]

    def lead_ms(self, request: StartOperation, rows: Rows) -> NDArray[np.float64]:
        """With which each is READY by T with the wanted probability: the rate that is asked for and a margin."""
        wanted = min(MOST, request.rate + MARGIN)
        leads = self.estimator.lead_ms(rows, wanted, scale_of(request))
        return leads + self.dispatch_ms

    def within(
        self, request: StartOperation, rows: Rows, budget_ms: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How likely each is READY so long after it is sent to; who only has to observe does so at once."""
        if request.verb is Verb.OBSERVE:
            return (budget_ms >= self.dispatch_ms).astype(np.float64)
        return self.estimator.probability_within(rows, budget_ms - self.dispatch_ms, scale_of(request))

    def note(self, request: StartOperation, started_ms: float, table: AckTable) -> None:
        """An ack frame has come: work that was done is a sample, a mere sign of life is none."""
        is_done = (table.state == TargetState.READY) & (table.ready_us > 0)
        if request.verb is Verb.OBSERVE or not is_done.any():
            return
        rows = table.places.rows(self._registry.topology)[is_done]
        delays_ms = table.processing_ms[is_done] + self._registry.columns.rtt_ms[rows] / 2
        self._frames.append(_Frame(rows, delays_ms.astype(np.float64), scale_of(request)))
        way_ms = float(np.median(table.arrived_us[is_done])) / 1000 - started_ms
        if request.timing is not Timing.LEAD and 0 < way_ms < request.window_ms:
            self.dispatch_ms += DISPATCH_WEIGHT * (way_ms - self.dispatch_ms)

    def learn_soon(self) -> None:
        self._wake.set()

    async def learn(self) -> None:
        """For ever, as the loop has time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames:
                frame = self._frames.popleft()
                self.learnt += self.estimator.observe(frame.rows, frame.delays_ms, frame.scale).taken
                await asyncio.sleep(PAUSE_S)


def scale_of(request: StartOperation) -> float:
    """How many times as long as at rest the published prior expects this work to take."""
    return 1.0 + 0.5 * request.weight
