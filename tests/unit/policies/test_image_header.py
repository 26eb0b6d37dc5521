"""Sizes of pictures from their first bytes: files as encoders write them, and files that are none."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.policies.image_header import SEGMENTS_MAX, image_size

SIZES = [(1, 1), (17, 300), (1000, 3), (1001, 2)]
START = {
    "PNG": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "JPEG": b"\xff\xd8\xff\xc0\x00\x11\x08",
    "GIF": b"GIF89a",
    "WebP": b"RIFF\x00\x00\x00\x00WEBPVP8X",
    "BMP": b"BM" + bytes(12) + struct.pack("<I", 40),
}


def encoded(suffix: str, width: int, height: int, *options: int) -> bytes:
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    written, data = cv2.imencode(suffix, picture, options)
    assert written
    return data.tobytes()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".gif"])
def test_the_size_is_what_the_encoder_was_given(suffix: str, width: int, height: int) -> None:
    assert image_size(encoded(suffix, width, height)) == (width, height)


def test_a_progressive_jpeg_and_both_webps_are_measured() -> None:
    assert image_size(encoded(".jpg", 301, 7, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) == (301, 7)
    assert image_size(encoded(".webp", 301, 7, cv2.IMWRITE_WEBP_QUALITY, 101)) == (301, 7)  # lossless
    assert image_size(encoded(".webp", 301, 7, cv2.IMWRITE_WEBP_QUALITY, 50)) == (301, 7)  # lossy
    extended = START["WebP"] + struct.pack("<IIHBHB", 10, 0, 0xFFFF, 1, 0x0002, 0)
    assert image_size(extended) == (0x20000, 3)


def test_the_frame_header_of_a_jpeg_is_found_behind_large_metadata() -> None:
    plain = encoded(".jpg", 40, 30)
    metadata = b"\xff\xe1" + struct.pack(">H", 65_535) + b"\xff\xc0" * 32_766 + b"\x00"
    assert image_size(plain[:2] + metadata * 3 + b"\xff" * 5 + plain[2:]) == (40, 30)


def test_bitmaps_of_both_kinds_and_directions_are_measured() -> None:
    assert image_size(START["BMP"] + struct.pack("<ii", 640, -480)) == (640, 480)
    assert image_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 640, 480)) == (640, 480)


@pytest.mark.parametrize("name", START)
def test_a_file_that_ends_in_its_header_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"The {name} image ends inside its header, after "):
        image_size(START[name])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The image is empty"),
        (b"<svg/>", "begins with b'<svg/>'"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "begins with b'RIFF"),
        (START["PNG"][:12] + b"IDAT" + bytes(8), "IHDR"),
        (START["PNG"] + struct.pack(">II", 0, 9), "0 x 9 pixels"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
        (b"\xff\xd8\xff\xda\x00\x02", "no frame header"),
        (b"\xff\xd8\xff\xfe\x00\x02here", "no marker at byte 6"),
        (b"\xff\xd8" + b"\xff\xfe\x00\x02" * SEGMENTS_MAX + START["JPEG"][2:] + bytes(4), "no frame header"),
        (START["WebP"][:12] + b"ALPH" + bytes(20), "b'ALPH'"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        image_size(data)
    assert reason in str(caught.value)


@given(start=st.sampled_from(sorted(START.values())), rest=st.binary(max_size=200))
def test_any_bytes_have_a_size_or_a_reason(start: bytes, rest: bytes) -> None:
    try:
        width, height = image_size(start + rest)
    except InvalidArgument as error:
        assert error.message
    else:
        assert width > 0
        assert height > 0
