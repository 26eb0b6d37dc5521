"""Operations that agents prepare for, and act upon only if enough can (protocols.arrival.prepare): the verdict.

    prepared answers --> verdict --> fleet.verdict.<id> in `state`, by a write that fails where one stands
                     --> <id>.commit or <id>.abort, an operation on everybody who was asked --> the operation ends

So a verdict is told only once a successor would find it, and who acted is known as of any operation.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from ohmesh.errors import EngineError, RevisionConflict
from ohmesh.model.fleet_message import TargetState, Verb
from ohmesh.model.fleet_request import OperationView, StartOperation
from ohmesh.model.verdict_order import Verdict, VerdictOrder, encode_verdict_order
from ohmesh.ports.state import State
from ohmesh.protocols.arrival.prepare import Prepare, PrepareConfig, VerdictRecord
from ohmesh.protocols.arrival.report import columns_of
from ohmesh.protocols.arrival.target_state import PENDING

if TYPE_CHECKING:
    from ohmesh.roles.fleet.conductor import Conductor
    from ohmesh.roles.fleet.operation import Operation
    from ohmesh.roles.fleet.orchestrator import Orchestrator

KEY = "fleet.verdict."
RETENTION_MS = 7 * 86_400_000
TELL_MS = 2_000.0  # at least so long is waited for those who are told

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(VerdictRecord).decode


class Commits:
    def __init__(self, orchestrator: Orchestrator, conductor: Conductor, state: State) -> None:
        self._of = orchestrator
        self._conductor = conductor
        self._state = state
        self._open: dict[str, asyncio.Event] = {}
        self._ended: dict[str, tuple[VerdictRecord, OperationView | None]] = {}

    def begin(self, operation: Operation, *, is_taken_over: bool = False) -> None:
        self._open[operation.id] = asyncio.Event()
        self._of.begin_task(self._settle(operation, is_taken_over), "verdict on an operation")

    def is_open(self, operation: str) -> bool:
        return operation in self._open

    def look(self, operation: str) -> None:
        """Something was heard of it."""
        if operation in self._open:
            self._open[operation].set()

    def told(self, view: OperationView) -> OperationView:
        """With the verdict and who acted, once that is known."""
        if view.id not in self._ended:
            return view
        record, telling = self._ended[view.id]
        is_commit = record.verdict is Verdict.COMMIT
        return msgspec.structs.replace(
            view,
            outcome=telling.outcome if is_commit and telling else "ABORTED" if view.targets else view.outcome,
            verdict=record.verdict.value,
            verdict_reason=record.reason.value,
            acted=telling.ready if is_commit and telling else 0,
            hit_rate=telling.hit_rate if is_commit and telling else 0.0,
        )

    def forget(self, operation: str) -> None:
        self._ended.pop(operation, None)

    async def _settle(self, operation: Operation, is_taken_over: bool) -> None:
        prepare = Prepare(
            operation.id,
            operation.records,
            operation.target_ms,
            PrepareConfig(rate=operation.request.rate),
        )
        if is_taken_over:
            await asyncio.sleep(self._of.config.recall_ms / 1000)
            prepare.resume(await self._find(operation.id), self._of.now_ms())
        await self._decide(operation, prepare)
        if not prepare.is_recorded:
            await self._record(prepare)
        assert prepare.verdict is not None, "it was decided"
        telling = await self._tell(operation, prepare.verdict)
        self._ended[operation.id] = prepare.verdict, telling
        del self._open[operation.id]
        self._conductor.look_again(operation)

    async def _decide(self, operation: Operation, prepare: Prepare) -> None:
        news = self._open[operation.id]
        while prepare.verdict is None:
            news.clear()
            prepare.tick(self._of.now_ms())
            if (wake_ms := prepare.wake_ms) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.001, (wake_ms - self._of.now_ms()) / 1000)):
                        await news.wait()

    async def _record(self, prepare: Prepare) -> None:
        """Until it stands there, or that of another does: then that is the verdict."""
        assert prepare.verdict is not None, "a verdict is made before it is recorded"
        while True:
            try:
                key, value = KEY + prepare.operation, _encode(prepare.verdict)
                await self._state.put(key, value, expected=0, ttl_ms=RETENTION_MS)
                prepare.recorded()
                return
            except RevisionConflict:
                found = await self._find(prepare.operation)
                if found is not None:
                    prepare.resume(found, self._of.now_ms())
                    return
            except EngineError as error:
                self._of.notice(
                    f"The verdict on {prepare.operation} could not be recorded, it is tried again: {error}"
                )
                await asyncio.sleep(self._of.config.look_ms / 1000)

    async def _find(self, operation: str) -> VerdictRecord | None:
        while True:
            try:
                entry = await self._state.get(KEY + operation)
                return _decode(entry.value) if entry is not None and entry.value is not None else None
            except EngineError as error:
                self._of.notice(f"The verdict on {operation} could not be read, it is tried again: {error}")
                await asyncio.sleep(self._of.config.look_ms / 1000)

    async def _tell(self, operation: Operation, verdict: VerdictRecord) -> OperationView | None:
        """Everybody who was asked; how many acted. None: nobody was."""
        columns = columns_of(list(operation.records))
        rows = columns.rows_in(TargetState.READY, TargetState.CONFLICT, TargetState.TRANSIT, PENDING)
        if not len(rows):
            return None
        request, now_ms = operation.request, self._of.now_ms()
        window_ms = PrepareConfig().window_ms
        order = VerdictOrder(operation.id, verdict.verdict, verdict.reason.value)
        telling = StartOperation(
            operation=f"{operation.id}.{verdict.verdict.value}",
            what=f"{request.what} {verdict.verdict.value}",
            verb=Verb.ACT,
            payload=encode_verdict_order(order),
            timeout_ms=max(0.0, operation.target_ms - now_ms) + window_ms + TELL_MS,
            rate=request.rate if verdict.verdict is Verdict.COMMIT else 1.0,
            priority=request.priority,
        )
        while True:
            try:
                return await self._conductor.order_once(telling, rows)
            except EngineError as error:
                self._of.notice(
                    f"The verdict on {operation.id} could not be told, it is tried again: {error}"
                )
                await asyncio.sleep(self._of.config.look_ms / 1000)
