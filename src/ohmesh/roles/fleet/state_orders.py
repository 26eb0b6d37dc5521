"""How the orders of `state_order` are carried out in one process, for many agents at a time.

What can be done at once is done at once. What has to wait for a blob or for another process is done in the order of its
arrival, one after the other; freezes that come meanwhile are kept together, in one record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np

from ohmesh.errors import EngineError, InvalidArgument
from ohmesh.model.agent import Duty
from ohmesh.model.fleet_columns import DUTY_CODES
from ohmesh.model.fleet_context import MAX_HELD, MAX_TOLD, AskContext, GiveContext
from ohmesh.model.fleet_message import Coordinate, ReportedConflict
from ohmesh.model.state_order import (
    ChangeDuty,
    FreezeState,
    HealState,
    HoldContext,
    Move,
    Refusal,
    RestoreContext,
    StateOrder,
    SyncContext,
    ThawState,
    VerifyContext,
)
from ohmesh.protocols.context.merge import EntryConflict
from ohmesh.protocols.context.store import Moved
from ohmesh.roles.fleet.agent_states import AgentStates, Asked
from ohmesh.roles.fleet.state_records import StateRecord

PEER_S = 1.0  # so long another process is waited for, before the content is looked for in the blobs
MAX_NAMED = 5  # entries in conflict that an answer names

Job = Callable[[], Awaitable[None]]
Say = Callable[[str, AskContext | GiveContext], None]


class StateOrders:
    """Of the process `name`. `say` tells another process something."""

    def __init__(self, states: AgentStates, *, name: str, say: Say) -> None:
        self._states = states
        self._name = name
        self._say = say
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._to_keep: dict[str, list[Asked]] = {}
        self._awaited: dict[bytes, asyncio.Event] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            job = await self._jobs.get()
            await job()

    def obey(self, body: StateOrder, order: Coordinate, asked: Asked) -> None:
        """Raises InvalidArgument: a content that is not what its version names, a wish that was not made an order."""
        match body:
            case VerifyContext():
                self._verify(body.version, asked)
            case FreezeState():
                self._freeze(body.kept_at or order.head.id, asked)
            case ThawState():
                self._thaw(asked)
            case _:
                is_frozen = self._states.is_frozen(asked.at)
                self._states.refuse_frozen(asked.part(is_frozen))
                asked = asked.part(~is_frozen)
                if len(asked.rows):
                    self._obey_awake(body, asked)

    def _obey_awake(self, body: StateOrder, asked: Asked) -> None:
        match body:
            case HoldContext():
                self._hold(body, asked)
            case SyncContext():
                self._with_content(body.version, body.process, asked, partial(self._put, asked, body.version))
            case RestoreContext():
                self._restore(asked)
            case ChangeDuty():
                self._states.duty[asked.at] = DUTY_CODES.index(body.duty)
                self._done(asked)
            case HealState():
                self._heal(body, asked)
            case _:
                raise InvalidArgument(f"{type(body).__name__} is a wish, not an order to agents.")

    # Contexts

    def _hold(self, body: HoldContext, asked: Asked) -> None:
        for version in body.lineage:
            content = body.content if body.content and version.hash == body.version else None
            self._states.contexts.learn(version, content)
        move = partial(_MOVES[body.move], self, asked, body.version)
        self._with_content(body.version, "", asked, move)

    def _advance(self, asked: Asked, version: bytes) -> None:
        self._moved(asked, version, self._states.contexts.advance(asked.at, version), {})

    def _merge(self, asked: Asked, version: bytes) -> None:
        moved, conflicts = self._states.contexts.merge_into(asked.at, version)
        self._moved(asked, version, moved, conflicts)

    def _put(self, asked: Asked, version: bytes) -> None:
        self._states.contexts.put(asked.at, version)
        self._done(asked)

    def _moved(
        self, asked: Asked, version: bytes, moved: Moved, conflicts: dict[bytes, tuple[EntryConflict, ...]]
    ) -> None:
        self._done(asked.part(moved.is_moved))

        def why(held: bytes) -> ReportedConflict:
            keys = ", ".join(one.key for one in conflicts.get(held, ())[:MAX_NAMED])
            return ReportedConflict(
                Refusal.MERGE if keys else Refusal.DIVERGED,
                expected=version.hex(),
                received=held.hex(),
                data=keys.encode(),
                context_hash=held[:8],
                divergence_depth=moved.divergences[held].depth,
            )

        self._states.refuse(asked.part(~moved.is_moved), why)

    def _verify(self, version: bytes, asked: Asked) -> None:
        is_right = self._states.contexts.verify(asked.at, version)
        self._states.ready(asked.part(is_right))
        self._mismatch(asked.part(~is_right), version)

    def _mismatch(self, asked: Asked, version: bytes) -> None:
        self._states.refuse(
            asked,
            lambda held: ReportedConflict(
                Refusal.MISMATCH, expected=version.hex(), received=held.hex(), context_hash=held[:8]
            ),
        )

    def _restore(self, asked: Asked) -> None:
        for version, places in self._states.contexts.known_good(asked.at).items():
            part = asked.part(places)
            if version and self._states.contexts.holds(version):
                self._put(part, version)
            else:
                self._states.refuse(part, lambda held: ReportedConflict(Refusal.NO_KNOWN_GOOD, received=held.hex()))

    def _heal(self, body: HealState, asked: Asked) -> None:
        contexts = self._states.contexts
        marks = [held for held in contexts.heads(asked.at) if held == body.version]
        is_right = np.ones(len(asked.rows), bool)
        if body.version:
            is_right[:] = False
            for held in marks:
                is_right[contexts.heads(asked.at)[held]] = True
        self._healed(asked.part(is_right), b"context right, duty ready")
        wrong = asked.part(~is_right)
        if len(wrong.rows):
            self._with_content(
                body.version, body.process, wrong, partial(self._resync, wrong, body.version, body.process)
            )

    def _resync(self, asked: Asked, version: bytes, process: str) -> None:
        self._states.contexts.put(asked.at, version)
        whence = f" from {process}" if process and process != self._name else ""
        self._healed(asked, f"context taken{whence}, duty ready".encode())

    def _healed(self, asked: Asked, note: bytes) -> None:
        self._states.duty[asked.at] = DUTY_CODES.index(Duty.READY)
        self._states.told(asked)
        self._states.ready(asked, lambda _held: note)

    def _done(self, asked: Asked) -> None:
        self._states.told(asked)
        self._states.ready(asked)

    # Contents that others have

    def _with_content(self, version: bytes, process: str, asked: Asked, move: Callable[[], None]) -> None:
        """Do it now, or once the content is here."""
        if self._states.contexts.holds(version):
            move()
        else:
            self._jobs.put_nowait(partial(self._fetch, version, process, asked, move))

    async def _fetch(self, version: bytes, process: str, asked: Asked, move: Callable[[], None]) -> None:
        contexts, reason = self._states.contexts, ""
        if not contexts.holds(version) and process and process != self._name:
            await self._ask_peer(version, process)
        known = contexts.history.get(version)
        if not contexts.holds(version) and known is not None and self._states.records is not None:
            try:
                content = await self._states.records.content(known.content)
                if content is not None:
                    contexts.learn(known, content)
            except (EngineError, InvalidArgument) as error:
                reason = str(error)
        if contexts.holds(version):
            # Who was frozen meanwhile stays what it is.
            is_frozen = self._states.is_frozen(asked.at)
            if not is_frozen.any():
                move()
            else:
                self._states.refuse_frozen(asked)
            return
        self._states.refuse(
            asked,
            lambda held: ReportedConflict(
                Refusal.NO_CONTENT, expected=version.hex(), received=held.hex(), data=reason.encode()
            ),
        )

    async def _ask_peer(self, version: bytes, process: str) -> None:
        arrived = self._awaited.setdefault(version, asyncio.Event())
        self._say(process, AskContext(self._name, version, tuple(self._states.contexts.in_use()[:MAX_HELD])))
        try:
            async with asyncio.timeout(PEER_S):
                await arrived.wait()
        except TimeoutError:
            pass
        finally:
            self._awaited.pop(version, None)

    def give(self, question: AskContext) -> None:
        """Another process lacks a version."""
        contexts = self._states.contexts
        lacking = contexts.history.missing(question.have, question.version)[-MAX_TOLD:]
        content = contexts.content_of(question.version) or b""
        self._say(question.process, GiveContext(question.version, tuple(lacking), content))

    def take(self, told: GiveContext) -> None:
        """Raises InvalidArgument: not what the version names."""
        contexts = self._states.contexts
        contexts.history.add_all(told.versions)
        version = contexts.history.get(told.version)
        if version is not None and told.content:
            contexts.learn(version, told.content)
        arrived = self._awaited.get(told.version)
        if arrived is not None:
            arrived.set()

    # Freezing

    def _freeze(self, freeze: str, asked: Asked) -> None:
        """They stop now, and answer once their state is kept."""
        if self._states.records is None:
            self._not_kept(asked, "this process keeps nothing")
            return
        self._states.freeze(asked.at, freeze)
        self._states.told(asked)
        self._to_keep.setdefault(freeze, []).append(asked)
        if len(self._to_keep[freeze]) == 1:
            self._jobs.put_nowait(partial(self._keep, freeze))

    async def _keep(self, freeze: str) -> None:
        waiting = self._to_keep.pop(freeze)
        records = self._states.records
        assert records is not None
        try:
            await records.put_frozen(freeze, self._states.record(with_carried=True))
            await self._states.save()
        except EngineError as error:
            for asked in waiting:
                self._not_kept(asked, str(error))
            return
        for asked in waiting:
            self._states.ready(asked)

    def _not_kept(self, asked: Asked, reason: str) -> None:
        self._states.refuse(
            asked, lambda held: ReportedConflict(Refusal.NOT_KEPT, received=held.hex(), data=reason.encode())
        )

    def _thaw(self, asked: Asked) -> None:
        is_frozen = self._states.is_frozen(asked.at)
        self._states.ready(asked.part(~is_frozen))
        if is_frozen.any():
            self._jobs.put_nowait(partial(self._load, asked.part(is_frozen)))

    async def _load(self, asked: Asked) -> None:
        codes = self._states.freeze_of[asked.at]
        for code in np.unique(codes).tolist():
            part = asked.part(codes == code)
            if code == 0:  # thawed by an order before this one
                self._states.ready(part)
                continue
            freeze = self._states.freezes[code]
            try:
                record = await self._frozen(freeze)
                self._states.thaw(part.at, record)
            except (EngineError, InvalidArgument) as error:
                self._not_kept(part, str(error))
                continue
            self._done(part)
            await self._forget(freeze, code)

    async def _frozen(self, freeze: str) -> StateRecord:
        """Raises EngineError, and InvalidArgument where there is none."""
        records = self._states.records
        record = await records.frozen(freeze) if records is not None else None
        if record is None:
            raise InvalidArgument(f"Nothing is kept of freeze {freeze} in {self._name}.")
        return record

    async def _forget(self, freeze: str, code: int) -> None:
        """Once nobody is under it any more, and that is kept."""
        records = self._states.records
        if records is None or (self._states.freeze_of == code).any():
            return
        try:
            await self._states.save()
            await records.forget_frozen(freeze)
        except EngineError as error:
            self._states.notice(f"What was kept of freeze {freeze} could not be removed: {error}")


_MOVES = {Move.ADVANCE: StateOrders._advance, Move.MERGE: StateOrders._merge, Move.PUT: StateOrders._put}
