"""Contexts and duties as the orchestrator has them: what it makes of a wish about state, and what duty it imposes.

A duty is imposed before anybody is told, and kept in `state`, so it outlives the orchestrator and reaches those who
cannot be reached now: who was frozen with everybody else stays out of work when it comes back. It is taken away from
each agent as that agent says that it is ready again.

fleet.duties    a byte for each row, compressed: FROZEN, QUARANTINED, DRAINING, which may stand together
"""

from __future__ import annotations

import asyncio
import zlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from ohmesh.errors import EngineError, EngineFailed, InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.context import MARK_BYTES, mark_of, mark_text
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_message import TargetState, Verb
from ohmesh.model.fleet_request import ContextView, GetContext, HeldContext, StartOperation
from ohmesh.model.fleet_table import AckTable
from ohmesh.model.state_order import (
    ChangeDuty,
    EditContext,
    FreezeState,
    HealState,
    HoldContext,
    MergeBranch,
    Move,
    StateOrder,
    SyncContext,
    ThawState,
    VerifyContext,
    decode_state_order,
    encode_state_order,
    is_state_order,
)
from ohmesh.model.topology import parse_place
from ohmesh.model.verdict_order import PREFIX as VERDICT
from ohmesh.ports.blobs import Blobs
from ohmesh.ports.population import Rows
from ohmesh.ports.state import State
from ohmesh.registry.fleet.liveness import ACTIVE, VACANT
from ohmesh.registry.fleet.registry import FleetRegistry
from ohmesh.roles.fleet.context_trunk import ContextTrunk

KEY = "fleet.duties"
MAX_HELD = 100  # contexts that are counted in one answer
SAVE_PAUSE_S = 0.2
FROZEN, QUARANTINED, DRAINING = 1, 2, 4
_FLAGS = {Duty.FROZEN: FROZEN, Duty.QUARANTINED: QUARANTINED, Duty.DRAINING: DRAINING}
_CODES = {duty: DUTY_CODES.index(duty) for duty in _FLAGS}
_REACHES_FROZEN = (FreezeState, ThawState, VerifyContext)


class FleetStates:
    def __init__(self, registry: FleetRegistry, state: State, blobs: Blobs) -> None:
        self.trunk = ContextTrunk(state, blobs)
        self.imposed = np.zeros(registry.topology.size, np.uint8)
        self._is_held = np.zeros(registry.topology.size, bool)
        self._registry = registry
        self._state = state
        self._dirty = asyncio.Event()

    async def load(self) -> None:
        """What the predecessor left. Raises EngineError."""
        await self.trunk.load()
        entry = await self._state.get(KEY)
        if entry is None or entry.value is None:
            return
        try:
            imposed = np.frombuffer(zlib.decompress(entry.value), np.uint8)
        except zlib.error as error:
            raise EngineFailed(
                f"The duties of the fleet at state key {KEY} cannot be read: {error}.",
                hint="Delete that key; nobody is drained or avoided then, and frozen agents say so themselves.",
            ) from error
        count = min(len(imposed), len(self.imposed))
        self.imposed[:count] = imposed[:count]

    # Wishes

    async def prepare(self, request: StartOperation) -> StartOperation:
        """The wish as an order to agents. Raises InvalidArgument: what it names is not there; EngineError."""
        if not is_state_order(request.payload):
            return request
        wish = decode_state_order(request.payload)
        order = await self._order(wish)
        return (
            request if order is wish else msgspec.structs.replace(request, payload=encode_state_order(order))
        )

    async def _order(self, wish: StateOrder) -> StateOrder:
        match wish:
            case EditContext():
                return await self.trunk.edit(wish)
            case MergeBranch():
                return await self.trunk.merge(wish)
            case VerifyContext():
                return VerifyContext(
                    self.trunk.find(wish.version) if wish.version else self.trunk.head(wish.branch)
                )
            case SyncContext():
                return self._sync(wish)
            case HealState():
                return self._heal(wish)
        return wish

    def _sync(self, wish: SyncContext) -> SyncContext:
        row = self._registry.topology.row(parse_place(wish.peer))
        columns = self._registry.columns
        if columns.liveness[row] != ACTIVE:
            raise InvalidArgument(f"Agent {wish.peer} is not there to be asked for its context.")
        mark = int(columns.context_hash[row])
        if not mark:
            raise InvalidArgument(f"Agent {wish.peer} has no context.")
        version = self.trunk.find(mark.to_bytes(MARK_BYTES, "big"))
        return SyncContext(peer=wish.peer, process=self._host(row), version=version)

    def _heal(self, wish: HealState) -> HealState:
        """Against the head of its branch, or, in a fleet that was given none, what most agents hold."""
        version = self.trunk.branches.get(wish.branch, b"")
        columns = self._registry.columns
        active = columns.liveness == ACTIVE
        if not version:
            marks, counts = np.unique(columns.context_hash[active], return_counts=True)
            most = int(marks[np.argmax(counts)]) if len(marks) else 0
            version = self.trunk.find(most.to_bytes(MARK_BYTES, "big")) if most else b""
        holders = np.flatnonzero(active & (columns.context_hash == np.uint64(mark_of(version))))
        process = self._host(int(holders[0])) if version and len(holders) else ""
        return msgspec.structs.replace(wish, version=version, process=process)

    def _host(self, row: int) -> str:
        return self._registry.hosts.texts[int(self._registry.columns.host[row])]

    # Duties

    async def begin(self, request: StartOperation, rows: Rows) -> None:
        """Impose what it asks for, before anybody is told. Raises EngineError: nothing is imposed."""
        if not is_state_order(request.payload):
            return
        order = decode_state_order(request.payload)
        after = self.imposed.copy()
        if isinstance(order, FreezeState):
            after[rows] |= FROZEN
        elif isinstance(order, ChangeDuty) and order.duty in _FLAGS:
            after[rows] |= _FLAGS[order.duty]
        elif isinstance(order, ChangeDuty):
            after[rows] &= FROZEN
        else:
            return
        await self._save(after)
        self.imposed = after
        self.impose(rows)

    def learn(self, request: StartOperation, rows: Rows, table: AckTable) -> None:
        """Who says that it is thawed or healed is free of what was imposed for that."""
        if not is_state_order(request.payload):
            return
        order = decode_state_order(request.payload)
        keep = QUARANTINED | DRAINING if isinstance(order, ThawState) else FROZEN
        if isinstance(order, ThawState | HealState):
            freed = rows[table.state == TargetState.READY]
            self.imposed[freed] &= np.uint8(keep)
            self.impose(freed)
            self._dirty.set()

    def impose(self, rows: Rows) -> None:
        """Let the registry have what is imposed on these: after a change, and when they have joined anew."""
        flags = self.imposed[rows] | np.where(self._is_held[rows], np.uint8(QUARANTINED), np.uint8(0))
        left = np.ones(len(rows), bool)
        for duty, flag in _FLAGS.items():
            those = left & (flags & flag != 0)
            if those.any():
                self._registry.set_duty(rows[those], duty)
            left &= ~those
        self._registry.set_duty(rows[left], Duty.READY)

    def hold(self, rows: Rows) -> None:
        """In quarantine because of a conflict, whatever people release or heal, until `let_go`; kept by who holds."""
        self._is_held[rows] = True
        self.impose(rows)

    def let_go(self, rows: Rows) -> None:
        self._is_held[rows] = False
        self.impose(rows)

    def is_heard(self, request: StartOperation) -> bool:
        """Whether a conflict of its targets is one between contexts, and not an order that could not be done."""
        if not is_state_order(request.payload):
            return not request.payload.startswith(VERDICT)
        return isinstance(decode_state_order(request.payload), HoldContext | VerifyContext)

    def is_held(self, rows: Rows) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = self._is_held[rows]
        return held

    def away(self, request: StartOperation, rows: Rows) -> NDArray[np.bool_]:
        """Whom the operation leaves out because of its duty. Who is held because of a conflict gets no context but one
        that puts it right."""
        duty = self._registry.columns.duty[rows]
        is_frozen = duty == _CODES[Duty.FROZEN]
        if is_state_order(request.payload):
            order = decode_state_order(request.payload)
            if isinstance(order, HoldContext) and order.move is not Move.PUT:
                is_away: NDArray[np.bool_] = is_frozen | self._is_held[rows]
                return is_away
            return np.zeros(len(duty), bool) if isinstance(order, _REACHES_FROZEN) else is_frozen
        away: NDArray[np.bool_] = is_frozen | (duty == _CODES[Duty.QUARANTINED])
        if request.verb is not Verb.OBSERVE:
            away |= duty == _CODES[Duty.DRAINING]
        return away

    async def keep(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._save(self.imposed)
            except EngineError:
                self._dirty.set()
            await asyncio.sleep(SAVE_PAUSE_S)

    async def _save(self, imposed: NDArray[np.uint8]) -> None:
        await self._state.put(KEY, zlib.compress(imposed.tobytes(), 1))

    async def show(self, question: GetContext) -> ContextView:
        """Raises InvalidArgument: there is no such branch or version; EngineError."""
        trunk = self.trunk
        if question.version:
            version, branch = trunk.find(question.version), ""
        else:
            version, branch = trunk.head(question.branch), question.branch
        entries = await trunk.entries(version)
        known = trunk.history.get(version)
        return ContextView(
            version=version.hex(),
            branch=branch,
            parents=tuple(parent.hex() for parent in known.parents) if known is not None else (),
            entries={key: value.decode(errors="backslashreplace") for key, value in entries.items()},
            branches={name: head.hex() for name, head in sorted(trunk.branches.items())},
            held=self._held(),
        )

    def _held(self) -> tuple[HeldContext, ...]:
        columns = self._registry.columns
        marks, counts = np.unique(columns.context_hash[columns.liveness != VACANT], return_counts=True)
        most = np.argsort(-counts, kind="stable")[:MAX_HELD]
        return tuple(HeldContext(mark_text(int(marks[at])), int(counts[at])) for at in most.tolist())
