"""The size of a picture from the first bytes of its file; nothing is decoded.

What is read is bounded: a fixed header, or (JPEG) the lengths of at most SEGMENTS_MAX segments up to the frame header.
The formats are told by their first bytes, never by a name.

Sources: PNG, W3C, section 5 and 11.2.2; JPEG, ITU-T T.81, annex B; GIF89a, section 18; WebP, RFC 9649, section 2;
BMP, the BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER of Windows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ohmesh.errors import InvalidArgument

SEGMENTS_MAX = 4_096
FORMATS = "PNG, JPEG, GIF, WebP or BMP"

Size = tuple[int, int]

_PNG = b"\x89PNG\r\n\x1a\n"
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0-7, SOI
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15; the three others are tables and a reserve
_ENDS = {0xD9, 0xDA}  # the image ends, or its data begins: no frame header came before


def image_size(data: bytes) -> Size:
    """Width and height in pixels. InvalidArgument says why the bytes are no picture that can be measured."""
    if not data:
        raise InvalidArgument("The image is empty.", hint=f"Send the bytes of a {FORMATS} file.")
    name, measure = _format(data)
    try:
        width, height = measure(data)
    except (struct.error, IndexError):
        raise InvalidArgument(
            f"The {name} image ends inside its header, after {len(data)} bytes.", hint="Send the whole file."
        ) from None
    if not width or not height:
        raise InvalidArgument(f"The {name} image says that it is {width} x {height} pixels.")
    return width, height


def _format(data: bytes) -> tuple[str, Callable[[bytes], Size]]:
    if data.startswith(_PNG):
        return "PNG", _png
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", _gif
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", _webp
    if data.startswith(b"BM"):
        return "BMP", _bmp
    raise InvalidArgument(
        f"The image cannot be decoded: it begins with {data[:8]!r}, which no {FORMATS} file does.",
        hint="Send the bytes of such a file, as base64 where only text can be sent.",
    )


def _png(data: bytes) -> Size:
    chunk, width, height = struct.unpack_from(">4sII", data, 12)
    if chunk != b"IHDR":
        raise InvalidArgument(f"The PNG image begins with a chunk {chunk!r} where IHDR belongs.")
    return width, height


def _jpeg(data: bytes) -> Size:
    at = 2
    for _ in range(SEGMENTS_MAX):
        if data[at] != 0xFF:
            raise InvalidArgument(f"The JPEG image has no marker at byte {at}, where one belongs.")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in _ENDS:
            break
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise InvalidArgument(f"The JPEG image has no frame header in its first {SEGMENTS_MAX} segments.")


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp(data: bytes) -> Size:
    chunk = data[12:16]
    if (
        chunk == b"VP8 "
    ):  # lossy: 3 bytes of frame tag, 3 of start code, then the sizes with their scaling bits
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":  # lossless: a signature byte, then twice 14 bits, less one
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":  # extended: twice 24 bits, less one
        width, width_high, height, height_high = struct.unpack_from("<HBHB", data, 24)
        return (width | width_high << 16) + 1, (height | height_high << 16) + 1
    raise InvalidArgument(f"The WebP image begins with a chunk {chunk!r} that is none of VP8, VP8L and VP8X.")


def _bmp(data: bytes) -> Size:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height: the first row is the top one
