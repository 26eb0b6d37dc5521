"""Whether a history of operations on registers could have happened one at a time.

Each key is judged alone (linearizability is local). An operation whose end nobody saw may have taken effect at any
time after its beginning, or never. Source: Wing and Gong 1993; the memo of visited states: Lowe 2017; the linked list
of calls and returns: Horn and Kroening 2015.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from msgspec import Struct

NEVER = float("inf")


class Act(Enum):
    READ = "read"
    WRITE = "write"
    SWAP = "swap"  # write `value` where `expected` stands


class Call(Struct, frozen=True):
    """`returned` NEVER: no answer was seen. `value` of a read is what it saw; `is_done` of a swap whether it wrote."""

    key: str
    act: Act
    called: float
    value: int | None = None
    returned: float = NEVER
    expected: int | None = None
    is_done: bool = True


@dataclass(slots=True)
class _Event:
    call: Call
    number: int
    is_return: bool
    before: _Event | None = None
    after: _Event | None = None
    match: _Event | None = field(default=None, repr=False)


def is_linearizable(history: Iterable[Call]) -> bool:
    """history: any order. Costs grow with the calls that overlap on one key: keep histories of a key short."""
    by_key: dict[str, list[Call]] = {}
    for call in history:
        if not (call.act is Act.READ and call.returned == NEVER):  # a read that nobody saw says nothing
            by_key.setdefault(call.key, []).append(call)
    return all(_is_one_register(calls) for calls in by_key.values())


def _is_one_register(calls: list[Call]) -> bool:
    head = _linked(calls)
    value: int | None = None
    done = 0
    seen: set[tuple[int, int | None]] = set()
    taken: list[tuple[_Event, int | None]] = []
    open_ends = sum(call.returned < NEVER for call in calls)  # returns that are still to be explained
    event = head.after
    while open_ends:
        if event is not None and not event.is_return:
            is_possible, after = _step(event.call, value)
            if is_possible and (done | 1 << event.number, after) not in seen:
                done |= 1 << event.number
                seen.add((done, after))
                taken.append((event, value))
                value = after
                open_ends -= event.call.returned < NEVER
                _lift(event)
                event = head.after
            else:
                event = event.after
        else:
            if not taken:
                return False
            event, value = taken.pop()
            done &= ~(1 << event.number)
            open_ends += event.call.returned < NEVER
            _put_back(event)
            event = event.after
    return True


def _step(call: Call, value: int | None) -> tuple[bool, int | None]:
    """Whether the call can have seen a register of `value`, and what it leaves. A swap that nobody saw the end of may
    have found anything."""
    if call.act is Act.READ:
        return call.value == value, value
    if call.act is Act.WRITE:
        return True, call.value
    matches = call.expected == value
    if call.returned == NEVER:
        return True, call.value if matches else value
    return matches == call.is_done, call.value if matches else value


def _linked(calls: list[Call]) -> _Event:
    events: list[tuple[float, bool, _Event]] = []
    for number, call in enumerate(calls):
        begin, end = _Event(call, number, False), _Event(call, number, True)
        begin.match = end
        events.append((call.called, False, begin))
        events.append((call.returned, True, end))
    events.sort(key=lambda each: each[:2])  # of equal times calls come first: they overlap
    head = _Event(calls[0], -1, False)
    last = head
    for _, _, event in events:
        last.after, event.before = event, last
        last = event
    return head


def _lift(event: _Event) -> None:
    for each in (event, event.match):
        assert each is not None
        if each.before is not None:
            each.before.after = each.after
        if each.after is not None:
            each.after.before = each.before


def _put_back(event: _Event) -> None:
    for each in (event.match, event):
        assert each is not None
        if each.after is not None:
            each.after.before = each
        if each.before is not None:
            each.before.after = each
