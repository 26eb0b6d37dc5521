"""How the orders of `state_order` are carried out in one process, for many agents at a time.

What can be done at once is done at once. What has to wait for a blob or for another process is done in the order of its
arrival, one after the other; freezes that come meanwhile are kept together, in one record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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
from ohmesh.roles.fleet.places import rows_within
from ohmesh.roles.fleet.state_records import StateRecord

PEER_S = 1.0  # so long another process is waited for, before the content is looked for in the blobs
MAX_NAMED = 5  # entries in conflict that an answer names

Do = Callable[[Asked, bytes], None]
Job = Callable[[], Awaitable[None]]
Say = Callable[[str, AskContext | GiveContext], None]


class StateOrders:
    """Of one life of the process `name`. `say` tells another process something."""

    def __init__(self, states: AgentStates, *, name: str, life: int, say: Say) -> None:
        self._states = states
        self._name = name
        self._life = life
        self._say = say
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._to_keep: dict[str, list[Asked]] = {}
        self._awaited: dict[bytes, asyncio.Event] = {}
        self._moves = {Move.ADVANCE: self._advance, Move.MERGE: self._merge, Move.PUT: self._put}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            job = await self._jobs.get()
            await job()

    def obey(self, body: StateOrder, order: Coordinate, asked: Asked) -> None:
        """Raises InvalidArgument: a content that is not what its version names, a wish that was not made an order."""
        match body:
            case VerifyContext():
                self._verify(self._full(body.version), asked)
            case FreezeState():
                self._freeze(body.kept_at or order.head.id, asked)
            case ThawState():
                self._thaw(asked)
            case ChangeDuty(is_held=bool(is_held)):
                self._states.is_held[asked.at] = is_held
                self._done(asked)
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
                self._with_content(body.version, body.process, asked, self._put)
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
        self._with_content(body.version, "", asked, self._moves[body.move])

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
                self._states.refuse(
                    part, lambda held: ReportedConflict(Refusal.NO_KNOWN_GOOD, received=held.hex())
                )

    def _heal(self, body: HealState, asked: Asked) -> None:
        meant = rows_within(asked.rows, body.restart)
        if meant.any():
            if not self._states.restart(asked.rows[meant]):
                self._states.refuse(
                    asked.part(meant), lambda held: ReportedConflict(Refusal.NO_RESTART, received=held.hex())
                )
                self._heal_awake(body, asked.part(~meant))
                return
            self._heal_awake(body, asked.part(meant), b"restarted, ")
        self._heal_awake(body, asked.part(~meant))

    def _heal_awake(self, body: HealState, asked: Asked, before: bytes = b"") -> None:
        if not len(asked.rows):
            return
        is_right = np.full(len(asked.rows), not body.version)
        for held, places in self._states.contexts.heads(asked.at).items():
            is_right[places] |= held.startswith(body.version)
        self._healed(asked.part(is_right), before + b"context right, duty ready")
        wrong = asked.part(~is_right)
        if len(wrong.rows):
            whence = "" if self._states.contexts.holds(self._full(body.version)) else body.process
            self._with_content(body.version, body.process, wrong, partial(self._resync, whence, before))

    def _resync(self, process: str, before: bytes, asked: Asked, version: bytes) -> None:
        self._states.contexts.put(asked.at, version)
        whence = f"process {process}" if process else "a neighbour"
        self._healed(asked, before + f"context taken from {whence}, duty ready".encode())

    def _healed(self, asked: Asked, note: bytes) -> None:
        self._states.duty[asked.at] = DUTY_CODES.index(Duty.READY)
        self._states.told(asked)
        self._states.ready(asked, lambda _held: note)

    def _done(self, asked: Asked) -> None:
        self._states.told(asked)
        self._states.ready(asked)

    # Contents that others have

    def _with_content(self, name: bytes, process: str, asked: Asked, do: Do) -> None:
        """Do it now, or once the content is here; `name` may be the beginning of one."""
        version = self._full(name)
        if self._states.contexts.holds(version):
            do(asked, version)
        else:
            self._jobs.put_nowait(partial(self._fetch, name, process, asked, do))

    async def _fetch(self, name: bytes, process: str, asked: Asked, do: Do) -> None:
        contexts = self._states.contexts
        if not contexts.holds(self._full(name)) and process and process != self._name:
            await self._ask_peer(name, process)
        reason = await self._read_content(self._full(name))
        is_frozen = self._states.is_frozen(asked.at)
        self._states.refuse_frozen(
            asked.part(is_frozen)
        )  # they were frozen meanwhile, and stay what they are
        asked, version = asked.part(~is_frozen), self._full(name)
        if contexts.holds(version):
            do(asked, version)
            return
        self._states.refuse(
            asked,
            lambda held: ReportedConflict(
                Refusal.NO_CONTENT, expected=version.hex(), received=held.hex(), data=reason.encode()
            ),
        )

    def with_contents(self, names: Iterable[bytes], do: Callable[[], None]) -> None:
        """Do it now, or once what can be had of these is here."""
        lacking = [name for name in names if not self._states.contexts.holds(self._full(name))]
        if lacking:
            self._jobs.put_nowait(partial(self._read_contents, lacking, do))
        else:
            do()

    async def _read_contents(self, names: list[bytes], do: Callable[[], None]) -> None:
        for name in names:
            await self._read_content(self._full(name))
        do()

    async def _read_content(self, version: bytes) -> str:
        """From the blobs, where it is not here yet; what stands in the way, or ""."""
        contexts, records = self._states.contexts, self._states.records
        known = contexts.history.get(version)
        if contexts.holds(version) or known is None or records is None:
            return ""
        try:
            content = await records.content(known.content)
            if content is not None:
                contexts.learn(known, content)
        except (EngineError, InvalidArgument) as error:
            return str(error)
        return ""

    def _full(self, name: bytes) -> bytes:
        return self._states.contexts.history.find(name) or name

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
        contexts, version = self._states.contexts, self._full(question.version)
        lacking = contexts.history.missing(question.have, version)[-MAX_TOLD:]
        told = GiveContext(question.version, version, tuple(lacking), contexts.content_of(version) or b"")
        self._say(question.process, told)

    def take(self, told: GiveContext) -> None:
        """Raises InvalidArgument: not what the version names."""
        contexts = self._states.contexts
        contexts.history.add_all(told.versions)
        version = contexts.history.get(told.version)
        if version is not None and told.content:
            contexts.learn(version, told.content)
        arrived = self._awaited.get(told.asked)
        if arrived is not None:
            arrived.set()

    # Freezing

    def _freeze(self, freeze: str, asked: Asked) -> None:
        """They stop now, and answer once their state is kept. Another life of the process keeps another record, so an
        order that comes once more does not write over what was kept before."""
        if self._states.records is None:
            self._not_kept(asked, "this process keeps nothing")
            return
        freeze = f"{freeze}.{self._life}"
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
            at = np.concatenate([asked.at for asked in waiting])
            for earlier in self._states.freezes_of(at) - {freeze}:
                if await records.frozen(earlier) is None:  # its process ended before it had kept it
                    self._states.move_freeze(at, earlier, freeze)
            if freeze in self._states.freezes_of(at):
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
