"""The kind `image`, on pictures made here, a drawn face among them, and on the photographs of the demo."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from ohmesh.cli.demo_work import read_photograph
from ohmesh.errors import ArgumentsRefused
from ohmesh.handlers.loading import load_handlers

Pixels = npt.NDArray[np.uint8]


def call(*positional: object, **keyword: object) -> Any:
    (handler,) = load_handlers(["image"], {})
    return msgspec.msgpack.decode(handler.invoke(msgspec.msgpack.encode([list(positional), keyword])))


def encoded(picture: npt.NDArray[Any], suffix: str = ".png") -> bytes:
    written, data = cv2.imencode(suffix, picture)
    assert written
    return data.tobytes()


def decoded(data: bytes) -> npt.NDArray[Any]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def plain(width: int, height: int, *channels: int) -> Pixels:
    return np.full((height, width, len(channels)), channels, dtype=np.uint8)


def checkered(side: int = 64) -> Pixels:
    rows, columns = np.indices((side, side))
    return ((rows // 4 + columns // 4) % 2 * 255).astype(np.uint8)


def drawn_face() -> Pixels:
    """Shades where a face has them (hair, sockets, brows, nose, mouth): those are what the cascade looks at."""
    picture = np.full((400, 400), 200, dtype=np.uint8)
    shapes = [
        ((200, 200), (70, 95), 0, 170),
        ((200, 140), (72, 50), 180, 60),
    ]  # from 180 degrees: the upper half
    for x in (172, 228):
        shapes += [((x, 178), (17, 9), 0, 90), ((x, 180), (12, 6), 0, 230), ((x, 180), (6, 6), 0, 20)]
        shapes += [((x, 162), (20, 5), 180, 50)]
    shapes += [((200, 210), (8, 28), 0, 195), ((200, 233), (14, 4), 0, 100), ((200, 255), (26, 8), 0, 80)]
    for centre, axes, start, shade in shapes:
        cv2.ellipse(picture, centre, axes, 0, start, 360, shade, -1)
    return cv2.GaussianBlur(picture, (9, 9), 0).astype(np.uint8)


def test_faces_are_counted_and_found() -> None:
    (face,) = call(encoded(drawn_face()))["faces"]
    assert abs(face["x"] + face["width"] / 2 - 200) < 20
    assert abs(face["y"] + face["height"] / 2 - 200) < 20
    assert 150 < face["width"] < 260
    pair = cv2.cvtColor(np.hstack([drawn_face(), drawn_face()]), cv2.COLOR_GRAY2BGR)
    assert call(encoded(pair, ".jpg"), "faces")["faces_detected"] == 2


def test_a_face_is_found_where_the_photograph_shows_one_and_not_in_a_cat() -> None:
    (face,) = call(read_photograph("astronaut.jpg"))["faces"]
    assert abs(face["x"] + face["width"] / 2 - 224) < 20
    assert abs(face["y"] + face["height"] / 2 - 114) < 20
    assert call(read_photograph("chelsea.jpg"))["faces_detected"] == 0


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".gif"])
def test_the_size_of_every_format_is_told(suffix: str) -> None:
    assert call(encoded(plain(48, 32, 1, 2, 3), suffix), "size") == {"width": 48, "height": 32}


def test_a_picture_may_come_as_base64() -> None:
    text = base64.b64encode(encoded(plain(5, 4, 1, 2, 3))).decode()
    assert call(text, operation="size") == {"width": 5, "height": 4}


def test_a_picture_without_a_face_has_none_and_faces_is_what_is_looked_for() -> None:
    for picture in (plain(200, 200, 90, 90, 90), checkered(200), plain(200, 200, 9, 9, 9, 0)):
        assert call(encoded(picture)) == {"faces_detected": 0, "faces": []}


def test_a_description_tells_colour_channels_and_sharpness() -> None:
    red = call(encoded(plain(8, 6, 0, 10, 200)), "describe")
    assert red == {"width": 8, "height": 6, "channels": 3, "mean_colour": [200, 10, 0], "sharpness": 0}
    assert call(encoded(plain(8, 6, 0, 10, 200, 128)), "describe")["channels"] == 4
    grey = call(encoded(checkered()), "describe")
    assert grey["channels"] == 1
    assert grey["mean_colour"] == [127.5] * 3
    blurred = call(encoded(cv2.GaussianBlur(checkered(), (9, 9), 0)), "describe")
    assert grey["sharpness"] > 10 * blurred["sharpness"] > 0


def test_sixteen_bits_a_channel_are_read_as_eight() -> None:
    deep = np.full((4, 4, 3), 200 * 257, dtype=np.uint16)
    assert call(encoded(deep), "describe")["mean_colour"] == [200] * 3


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ({"width": 10, "height": 40}, (10, 40)),
        ({"width": 20}, (20, 10)),
        ({"height": 200}, (400, 200)),
        ({"width": 1}, (1, 1)),
    ],
)
def test_a_resized_copy_has_the_size_asked_for_and_keeps_its_proportions(
    words: dict[str, int], size: tuple[int, int]
) -> None:
    source = encoded(plain(40, 20, 5, 100, 200))
    for encoding, start in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8")):
        copy = call(source, "resize", encoding=encoding, **words)
        assert copy.startswith(start)
        assert decoded(copy).shape == (size[1], size[0], 3)
    assert decoded(call(source, "resize", **words))[0, 0].tolist() == [5, 100, 200]


def test_a_copy_keeps_transparency() -> None:
    copy = call(encoded(plain(40, 20, 1, 2, 3, 77)), "resize", width=4)
    assert decoded(copy)[0, 0].tolist() == [1, 2, 3, 77]


def bomb(side: int) -> bytes:
    """A PNG of `side` squared pixels in a few hundred bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x" * 200) + chunk(b"IEND", b"")


GOOD = encoded(plain(40, 20, 1, 2, 3))


@pytest.mark.parametrize(
    ("positional", "keyword", "reason"),
    [
        ((b"",), {}, "empty"),
        ((b"not a picture",), {}, "begins with b'not a pi'"),
        (("not base64!",), {}, "'image'"),
        ((5,), {}, "'image'"),
        ((GOOD[:30],), {}, "damaged or incomplete"),
        ((GOOD[:40] + bytes(40),), {}, "damaged or incomplete"),
        ((bomb(60_000),), {}, "60000 x 60000 pixels; at most 50,000,000"),
        ((GOOD, "paint"), {}, "'operation'"),
        ((GOOD, "resize"), {}, "0 x 0 pixels"),
        ((GOOD, "resize"), {"width": -1}, "-1 x 0 pixels"),
        ((GOOD, "resize"), {"width": 8_193}, "8193 x 0 pixels"),
        ((encoded(plain(1, 20, 1, 2, 3)), "resize"), {"width": 8_000}, "would be 8000 x 160000"),
        ((GOOD, "resize"), {"width": 5, "encoding": "gif"}, "'encoding'"),
        ((), {}, "'image'"),
    ],
)
def test_what_cannot_be_done_is_refused_for_good_with_the_reason(
    positional: tuple[object, ...], keyword: dict[str, object], reason: str
) -> None:
    with pytest.raises(ArgumentsRefused) as caught:
        call(*positional, **keyword)
    assert reason in str(caught.value)
