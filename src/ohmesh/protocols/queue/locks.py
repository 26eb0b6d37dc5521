"""Named locks: one holder at a time, for a time, first come first served; and a token that tells late holders apart.

    free --take--> held by the first that waits --release | not renewed for its ttl | forced--> free

Taking and releasing are rows, so a holder is one whoever dispatches. Renewals and waiters are not: after a takeover,
and when time leaps or nobody could be heard, each lock starts its ttl anew; waiters, who ask on and on, line up again
by how long they have waited. A lock never ends before its ttl has passed since its last renewal was heard here, which
is later than its holder, who counts from sending it, believes.

Whoever has waited in silence for `silence_ms` is passed over: it is gone.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from ohmesh.errors import Backpressure, InvalidArgument
from ohmesh.model.lock import AskLock, LockAction, LockAnswer, LockOutcome, LockView
from ohmesh.model.message import Problem
from ohmesh.protocols.queue import rows as r
from ohmesh.protocols.queue.lock_table import LockRecord, LockTable
from ohmesh.protocols.queue.sizes import id_bytes

if TYPE_CHECKING:
    from ohmesh.protocols.queue.shard import Shard

MAX_NAME_LENGTH = 128
MAX_OWNER_LENGTH = 64
MIN_TTL_MS = 500
MAX_TTL_MS = 86_400_000
MAX_HOLD_MS = 5_000
MAX_LISTED = 1_000
RETRY_AFTER_MS = 1_000
VIEW_BYTES = 400


@dataclass(frozen=True, slots=True)
class LockConfig:
    """held, waiters: of a shard, at a time. silence_ms: who waits asks again within this, or is gone.
    leap_ms: when nobody has looked for longer, every ttl starts anew."""

    held: int = 20_000
    waiters: int = 20_000
    silence_ms: int = 10_000
    leap_ms: int = 1_000


@dataclass(slots=True, eq=False)
class Waiter:
    """`since_ms`: when its wait began. reply: where an answer is awaited until `answer_by_ms`; "" is nowhere."""

    owner: str
    holder: str
    ttl_ms: int
    since_ms: int
    heard_ms: int
    reply: str = ""
    answer_by_ms: int = 0


@dataclass(slots=True)
class LockBook:
    """What is not in the log: when each lock ends (`ends_ms`), and who waits for which, the longest wait first.

    waiters: the same by name and owner."""

    table: LockTable
    config: LockConfig
    ends_ms: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[Waiter]] = field(default_factory=dict)
    waiters: dict[tuple[str, str], Waiter] = field(default_factory=dict)
    swept_ms: int = 0

    def begin(self, at_ms: int) -> None:
        """A dispatcher begins, or time has leapt: every ttl starts anew."""
        self.swept_ms = at_ms
        self.ends_ms = {name: at_ms + record.ttl_ms for name, record in self.table.held.items()}


def ask(shard: Shard, wish: AskLock, reply: str, now_ms: int) -> None:
    """Decide; the answer goes to `reply` once what it says is in the log, for a TAKE perhaps later."""
    problem = decide(shard, wish, reply, now_ms)
    if problem is not None:
        shard.room(VIEW_BYTES).answers.append((reply, problem))


def decide(shard: Shard, wish: AskLock, reply: str, now_ms: int) -> Problem | None:
    """The same, but a problem is returned."""
    if not _is_well_formed(wish):
        return Problem(
            InvalidArgument.code,
            f"A lock has a name of 1 to {MAX_NAME_LENGTH} printable ASCII characters without spaces and a ttl from "
            f"{MIN_TTL_MS} to {MAX_TTL_MS} ms; who asks has an owner of up to {MAX_OWNER_LENGTH} of them.",
        )
    at_ms = shard.advance(now_ms)
    if wish.action is LockAction.LIST:
        _list(shard, reply, at_ms)
    elif wish.action is LockAction.TAKE:
        return _take(shard, wish, reply, at_ms)
    elif wish.action is LockAction.RENEW:
        _renew(shard, wish, reply, at_ms)
    else:
        _let_go(shard, wish, reply, at_ms)
    return None


def sweep(shard: Shard, now_ms: int) -> None:
    """Call a few times a second while holders can be heard: what has run out ends, who waited long enough hears so."""
    at_ms, book = shard.advance(now_ms), shard.locks
    if at_ms - book.swept_ms > book.config.leap_ms:
        book.begin(at_ms)
    book.swept_ms = at_ms
    for name in [name for name, ends_ms in book.ends_ms.items() if ends_ms <= at_ms]:
        _end(shard, book.table.held[name], at_ms)
    for name, waiters in list(book.waiting.items()):
        for waiter in [one for one in waiters if one.heard_ms + book.config.silence_ms <= at_ms]:
            _leave(book, name, waiter)
        for waiter in waiters:
            if waiter.reply and waiter.answer_by_ms <= at_ms:
                _answer(shard, waiter.reply, LockOutcome.WAITING, name, at_ms)
                waiter.reply = ""


def view_of(book: LockBook, record: LockRecord) -> LockView:
    ends_ms, waiting = book.ends_ms.get(record.name, 0), len(book.waiting.get(record.name, ()))
    return LockView(
        record.name, record.holder, record.token, record.ttl_ms, record.taken_ms, ends_ms, waiting
    )


def _take(shard: Shard, wish: AskLock, reply: str, at_ms: int) -> Problem | None:
    book, name = shard.locks, wish.name
    record = book.table.held.get(name)
    if record is not None and record.owner == wish.owner:
        book.ends_ms[name] = at_ms + record.ttl_ms
        _answer(shard, reply, LockOutcome.HELD, name, at_ms)
        return None
    waiter = book.waiters.get((name, wish.owner))
    if waiter is None:
        if len(book.waiters) >= book.config.waiters or (
            record is None and len(book.table.held) >= book.config.held
        ):
            said = f"{len(book.table.held)} locks are held and {len(book.waiters)} wait, which is the limit."
            return Problem(Backpressure.code, said, RETRY_AFTER_MS)
        waiter = Waiter(wish.owner, wish.holder, wish.ttl_ms, at_ms - wish.waited_ms, at_ms)
        insort(book.waiting.setdefault(name, []), waiter, key=attrgetter("since_ms"))
        book.waiters[name, wish.owner] = waiter
    waiter.heard_ms, waiter.reply = at_ms, reply
    waiter.answer_by_ms = at_ms + min(wish.hold_ms, MAX_HOLD_MS)
    _serve(shard, name, at_ms)
    if not wish.hold_ms and (name, wish.owner) in book.waiters:
        _answer(shard, reply, LockOutcome.WAITING, name, at_ms)
        waiter.reply = ""
    return None


def _renew(shard: Shard, wish: AskLock, reply: str, at_ms: int) -> None:
    record = shard.locks.table.held.get(wish.name)
    if record is None or record.owner != wish.owner or record.token != wish.token:
        _answer(shard, reply, LockOutcome.NOT_HELD, wish.name, at_ms)
        return
    shard.locks.ends_ms[wish.name] = at_ms + record.ttl_ms
    _answer(shard, reply, LockOutcome.HELD, wish.name, at_ms)


def _let_go(shard: Shard, wish: AskLock, reply: str, at_ms: int) -> None:
    """RELEASE by its owner, who may only wait for it; FORCE by anybody."""
    book, name = shard.locks, wish.name
    record = book.table.held.get(name)
    released: list[LockView] = []
    if record is not None and (wish.action is LockAction.FORCE or record.owner == wish.owner):
        released = [view_of(book, record)]
        _end(shard, record, at_ms)
    elif waiter := book.waiters.get((name, wish.owner)):
        _leave(book, name, waiter)
    answer = LockAnswer(LockOutcome.NOT_HELD, 0, released, len(released), at_ms)
    shard.room(VIEW_BYTES).answers.append((reply, answer))


def _list(shard: Shard, reply: str, at_ms: int) -> None:
    book, held = shard.locks, shard.locks.table.held
    listed = [view_of(book, held[name]) for name in sorted(held)[:MAX_LISTED]]
    answer = LockAnswer(LockOutcome.LISTED, 0, listed, len(held), at_ms)
    shard.room(VIEW_BYTES * (len(listed) + 1)).answers.append((reply, answer))


def _end(shard: Shard, record: LockRecord, at_ms: int) -> None:
    shard.decide(r.LockReleased(at_ms, record.name, record.token), id_bytes(record.name))
    shard.locks.ends_ms.pop(record.name, None)
    _serve(shard, record.name, at_ms)


def _serve(shard: Shard, name: str, at_ms: int) -> None:
    """A free lock goes to the one that has waited for longest and is still heard of."""
    book = shard.locks
    while name not in book.table.held and (waiters := book.waiting.get(name)):
        waiter = waiters[0]
        _leave(book, name, waiter)
        if waiter.heard_ms + book.config.silence_ms <= at_ms:
            continue
        token = book.table.next_token(at_ms)
        row = r.LockTaken(at_ms, name, waiter.owner, token, waiter.ttl_ms, waiter.holder)
        shard.decide(row, sum(map(id_bytes, (name, waiter.owner, waiter.holder))))
        book.ends_ms[name] = at_ms + waiter.ttl_ms
        if waiter.reply:
            _answer(shard, waiter.reply, LockOutcome.HELD, name, at_ms)


def _leave(book: LockBook, name: str, waiter: Waiter) -> None:
    waiters = book.waiting[name]
    waiters.remove(waiter)
    del book.waiters[name, waiter.owner]
    if not waiters:
        del book.waiting[name]


def _answer(shard: Shard, reply: str, outcome: LockOutcome, name: str, at_ms: int) -> None:
    record = shard.locks.table.held.get(name)
    locks = [view_of(shard.locks, record)] if record is not None else []
    token = record.token if record is not None and outcome is LockOutcome.HELD else 0
    answer = LockAnswer(outcome, token, locks, len(locks), at_ms)
    shard.room(VIEW_BYTES).answers.append((reply, answer))


def _is_well_formed(wish: AskLock) -> bool:
    if wish.action is LockAction.LIST:
        return True
    if not (0 < len(wish.name) <= MAX_NAME_LENGTH and wish.name.isascii() and wish.name.isprintable()):
        return False
    has_owner = 0 < len(wish.owner) <= MAX_OWNER_LENGTH and len(wish.holder) <= MAX_NAME_LENGTH
    has_owner = has_owner and wish.owner.isascii() and wish.holder.isascii()
    return (
        " " not in wish.name
        and (has_owner or wish.action is LockAction.FORCE)
        and (wish.action is not LockAction.TAKE or MIN_TTL_MS <= wish.ttl_ms <= MAX_TTL_MS)
        and wish.waited_ms >= 0
        and wish.hold_ms >= 0
    )
