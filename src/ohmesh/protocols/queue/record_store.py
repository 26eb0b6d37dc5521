"""Records of bytes by slot, laid one behind the other in blocks: a small record costs its bytes and 12 more.

Where less than half of all blocks is in use, one of which less than half is in use is emptied into the newest one when
something of it is dropped. So what is held stays near twice what is in use, a block is all that is ever moved at once,
and nothing is moved where the oldest go first. Large records stand apart.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

BLOCK_BYTES = 1 << 16
LARGE_BYTES = BLOCK_BYTES // 4
_HEADER = struct.Struct("<II")  # slot (0: dropped), bytes
_LENGTH = struct.Struct("<I")
_HEADER_BYTES = _HEADER.size
_OFFSET_BITS = 16
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_APART = (1 << 32) - 1
_BLOCKS_MAX = _APART >> _OFFSET_BITS
_SPARE_BYTES = 4 * BLOCK_BYTES


class RecordStore:
    """Slots are numbers from 1 on, chosen by the caller; each holds one record.

    held_bytes: what blocks and large records take; used_bytes: what is in use of it; moves: of records, since the
    beginning."""

    def __init__(self) -> None:
        self._places = array("I", bytes(4))  # block << _OFFSET_BITS | offset
        self._blocks: list[bytearray | None] = []
        self._used = array("I")
        self._free: list[int] = []
        self._newest = -1
        self._end = BLOCK_BYTES
        self._apart: dict[int, bytes] = {}
        self.held_bytes = 0
        self.used_bytes = 0
        self.moves = 0

    def put(self, slot: int, record: bytes) -> None:
        """Slots come into use in their order: `slot` is one that was in use before, or the next."""
        length = len(record)
        size = _HEADER_BYTES + length
        if length > LARGE_BYTES or (self._end + size > BLOCK_BYTES and not self._add_block()):
            place = _APART
            self._apart[slot] = record
            self.held_bytes += size
        else:
            number, offset = self._newest, self._end
            block = self._blocks[number]
            assert block is not None
            _HEADER.pack_into(block, offset, slot, length)
            block[offset + _HEADER_BYTES : offset + size] = record
            self._end = offset + size
            self._used[number] += size
            place = number << _OFFSET_BITS | offset
        self.used_bytes += size
        if slot == len(self._places):
            self._places.append(place)
        else:
            self._places[slot] = place

    def put_all(self, records: Sequence[bytes]) -> None:
        """As `put` into the slots that are next."""
        pack, places, newest = _HEADER.pack_into, self._places, -1
        block = bytearray()
        for record in records:
            length, offset = len(record), self._end
            size = _HEADER_BYTES + length
            if length > LARGE_BYTES or offset + size > BLOCK_BYTES:
                self.put(len(places), record)
                continue
            if newest != self._newest:
                newest = self._newest
                found = self._blocks[newest]
                assert found is not None
                block = found
            pack(block, offset, len(places), length)
            self._end = end = offset + size
            block[offset + _HEADER_BYTES : end] = record
            self._used[newest] += size
            self.used_bytes += size
            places.append(newest << _OFFSET_BITS | offset)

    def get(self, slot: int) -> bytes | bytearray:
        """A copy of the record."""
        place = self._places[slot]
        if place == _APART:
            return self._apart[slot]
        block = self._blocks[place >> _OFFSET_BITS]
        assert block is not None
        offset = place & _OFFSET_MASK
        begin = offset + _HEADER_BYTES
        return block[begin : begin + _LENGTH.unpack_from(block, offset + _LENGTH.size)[0]]

    def has_at(self, slot: int, offset: int, part: bytes) -> bool:
        """`part` stands in the record from there on."""
        place = self._places[slot]
        if place == _APART:
            return self._apart[slot].startswith(part, offset)
        block = self._blocks[place >> _OFFSET_BITS]
        assert block is not None
        return block.startswith(part, (place & _OFFSET_MASK) + _HEADER_BYTES + offset)

    def drop(self, slot: int) -> None:
        place = self._places[slot]
        if place == _APART:
            size = _HEADER_BYTES + len(self._apart.pop(slot))
            self.held_bytes -= size
            self.used_bytes -= size
            return
        number, offset = place >> _OFFSET_BITS, place & _OFFSET_MASK
        block = self._blocks[number]
        assert block is not None
        length = _LENGTH.unpack_from(block, offset + _LENGTH.size)[0]
        size = _HEADER_BYTES + length
        _HEADER.pack_into(block, offset, 0, length)
        self._used[number] -= size
        self.used_bytes -= size
        if number != self._newest:
            self._look_at(number, block)

    def _add_block(self) -> bool:
        """A new and empty one is the newest; False where there may be no more."""
        if not self._free and len(self._blocks) == _BLOCKS_MAX:
            return False
        full = self._newest
        if self._free:
            self._newest = self._free.pop()
            self._blocks[self._newest], self._used[self._newest] = bytearray(BLOCK_BYTES), 0
        else:
            self._newest = len(self._blocks)
            self._blocks.append(bytearray(BLOCK_BYTES))
            self._used.append(0)
        self._end = 0
        self.held_bytes += BLOCK_BYTES
        if full >= 0 and not self._used[full]:
            self._release(full, bytearray())
        return True

    def _look_at(self, number: int, block: bytearray) -> None:
        used = self._used[number]
        is_wasteful = self.held_bytes > 2 * self.used_bytes + _SPARE_BYTES
        if not used or (is_wasteful and 2 * used < BLOCK_BYTES):
            self._release(number, block)

    def _release(self, number: int, block: bytearray) -> None:
        """Move what is in use into the newest block and let this one go."""
        used, offset = self._used[number], 0
        self._blocks[number] = None
        self.held_bytes -= BLOCK_BYTES
        self.used_bytes -= used
        while used:
            slot, length = _HEADER.unpack_from(block, offset)
            size = _HEADER_BYTES + length
            if slot:
                self.moves += 1
                self.put(slot, bytes(block[offset + _HEADER_BYTES : offset + size]))
                used -= size
            offset += size
        self._free.append(number)
