"""Records of bytes by slot, laid one behind the other in blocks: a small record costs its bytes and 8 more.

Where less than half of all blocks is in use, one of which less than half is in use is emptied into the newest one when
something of it is dropped. So what is held stays near twice what is in use, a block is all that is ever moved at once,
and nothing is moved where the oldest go first.
"""

from __future__ import annotations

import struct
from array import array

BLOCK_BYTES = 1 << 16
_LARGE_BYTES = BLOCK_BYTES // 4
_HEADER = struct.Struct("<II")  # slot (0: dropped), bytes
_LENGTH = struct.Struct("<I")
_HEADER_BYTES = _HEADER.size
_OFFSET_BITS = 16
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_SPARE_BYTES = 4 * BLOCK_BYTES


class RecordStore:
    """Slots are small numbers from 1 on, chosen by the caller; each holds one record.

    held_bytes: what the blocks take; used_bytes: what is in use of it; moves: of records, since the beginning."""

    def __init__(self) -> None:
        self._places = array("Q", bytes(8))
        self._blocks: list[bytearray | None] = []
        self._used = array("Q")
        self._free: list[int] = []
        self._newest = -1
        self._end = BLOCK_BYTES
        self.held_bytes = 0
        self.used_bytes = 0
        self.moves = 0

    def put(self, slot: int, record: bytes | bytearray) -> None:
        """Slots come into use in their order: `slot` is one that was in use before, or the next."""
        length = len(record)
        size = _HEADER_BYTES + length
        number, offset = self._newest, self._end
        if offset + size > BLOCK_BYTES or size > _LARGE_BYTES:
            number, offset = self._room(size)
        else:
            self._end = offset + size
        block = self._blocks[number]
        assert block is not None
        _HEADER.pack_into(block, offset, slot, length)
        block[offset + _HEADER_BYTES : offset + size] = record
        self._used[number] += size
        self.used_bytes += size
        place = number << _OFFSET_BITS | offset
        if slot == len(self._places):
            self._places.append(place)
        else:
            self._places[slot] = place

    def get(self, slot: int) -> bytearray:
        """A copy of the record."""
        place = self._places[slot]
        block = self._blocks[place >> _OFFSET_BITS]
        assert block is not None
        offset = place & _OFFSET_MASK
        begin = offset + _HEADER_BYTES
        return block[begin : begin + _LENGTH.unpack_from(block, offset + _LENGTH.size)[0]]

    def drop(self, slot: int) -> None:
        place = self._places[slot]
        number, offset = place >> _OFFSET_BITS, place & _OFFSET_MASK
        block = self._blocks[number]
        assert block is not None
        length = _LENGTH.unpack_from(block, offset + _LENGTH.size)[0]
        size = _HEADER_BYTES + length
        _HEADER.pack_into(block, offset, 0, length)
        self._used[number] -= size
        self.used_bytes -= size
        if number != self._newest:
            self._look_at(number)

    def _room(self, size: int) -> tuple[int, int]:
        """Block and offset for so many bytes. A large record has a block of its own."""
        if size > _LARGE_BYTES:
            return self._add(bytearray(size)), 0
        if self._end + size > BLOCK_BYTES:
            full = self._newest
            self._newest, self._end = self._add(bytearray(BLOCK_BYTES)), 0
            if full >= 0 and not self._used[full]:
                self._look_at(full)
        self._end += size
        return self._newest, self._end - size

    def _add(self, block: bytearray) -> int:
        self.held_bytes += len(block)
        if self._free:
            number = self._free.pop()
            self._blocks[number], self._used[number] = block, 0
            return number
        self._blocks.append(block)
        self._used.append(0)
        return len(self._blocks) - 1

    def _look_at(self, number: int) -> None:
        block, used = self._blocks[number], self._used[number]
        assert block is not None
        is_wasteful = self.held_bytes > 2 * self.used_bytes + _SPARE_BYTES
        if not used or (is_wasteful and 2 * used < len(block)):
            self._release(number, block)

    def _release(self, number: int, block: bytearray) -> None:
        """Move what is in use into the newest block and let this one go."""
        used, offset = self._used[number], 0
        self._blocks[number] = None
        self.held_bytes -= len(block)
        self.used_bytes -= used
        while used:
            slot, length = _HEADER.unpack_from(block, offset)
            size = _HEADER_BYTES + length
            if slot:
                self.moves += 1
                self.put(slot, block[offset + _HEADER_BYTES : offset + size])
                used -= size
            offset += size
        self._free.append(number)
