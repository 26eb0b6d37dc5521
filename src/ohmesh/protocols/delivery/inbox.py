"""What one reader has heard of one sender on one subject: each frame once, in order, and what is missing by number.

Invariants: frames are given in ascending order within one life of the sender, none twice; a frame that waits for an
earlier one is given when that comes, or when its sender says that it never will; what waits is bounded, and what does
not fit is dropped, so it is missing and comes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.model.fleet_frame import FleetFrame
from ohmesh.model.fleet_message import FramesHeard

WAITING_FRAMES = 512
MISSING_TOLD = 256


@dataclass(slots=True)
class Taken:
    """frames: to be read now, in this order. lost: numbers that will never come. is_stale: of an earlier life.
    is_gap: something is missing, so say at once what was heard."""

    frames: list[FleetFrame] = field(default_factory=list)
    duplicates: int = 0
    lost: int = 0
    is_stale: bool = False
    is_gap: bool = False


class Inbox:
    """`sender`, `flow`: whose frames, on which subject."""

    def __init__(self, sender: str, flow: str, waiting_frames: int = WAITING_FRAMES) -> None:
        self.sender = sender
        self.flow = flow
        self.term = -1
        self._waiting_frames = waiting_frames
        self._waiting: dict[int, FleetFrame] = {}
        self._next = 1

    def take(self, frame: FleetFrame) -> Taken:
        if frame.term < self.term:
            return Taken(is_stale=True)
        if frame.term > self.term:
            self._begin(frame)
        if frame.sequence == 0:
            return Taken([frame])
        taken = Taken()
        self._skip_to(frame.oldest or frame.sequence, taken)
        if frame.sequence < self._next or frame.sequence in self._waiting:
            taken.duplicates += 1
        elif frame.sequence == self._next or len(self._waiting) < self._waiting_frames:
            self._waiting[frame.sequence] = frame
        self._give(taken)
        taken.is_gap = bool(self._waiting)
        return taken

    def heard(self) -> FramesHeard:
        """For the sender, once a frame has come: what has arrived, and what is missing (the first MISSING_TOLD of
        it)."""
        highest = max(self._waiting, default=self._next - 1)
        missing = [number for number in range(self._next, highest) if number not in self._waiting]
        if len(missing) > MISSING_TOLD:
            missing = missing[:MISSING_TOLD]
            highest = missing[-1]
        return FramesHeard(self.sender, self.term, self.flow, self._next - 1, highest, tuple(missing))

    def _begin(self, frame: FleetFrame) -> None:
        """Another life of the sender. What waits of the earlier one is incomplete, and is given up with it."""
        self.term = frame.term
        self._waiting.clear()
        self._next = max(1, frame.oldest or frame.sequence)

    def _skip_to(self, oldest: int, taken: Taken) -> None:
        """Whatever is below `oldest` comes no more: give what waits there, count what lacks."""
        if oldest <= self._next:
            return
        for number in sorted(one for one in self._waiting if one < oldest):
            taken.lost += number - self._next
            taken.frames.append(self._waiting.pop(number))
            self._next = number + 1
        taken.lost += oldest - self._next
        self._next = oldest

    def _give(self, taken: Taken) -> None:
        while (frame := self._waiting.pop(self._next, None)) is not None:
            taken.frames.append(frame)
            self._next += 1
