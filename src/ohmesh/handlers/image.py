"""The kind `image`: faces in a picture, its size, a resized copy, a description; by OpenCV (the extra `image`).

A task carries the bytes of a PNG, JPEG, GIF, WebP or BMP file (as base64 where it is submitted as text). Its size is
read from the header before anything is decoded, so that a small file that unfolds into gigabytes is refused. Pictures
are treated as viewers show them: turned as their EXIF data says, 8 bits a channel.

Faces: P. Viola and M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001; the
trained cascade for upright frontal faces (R. Lienhart) ships in OpenCV's wheel.
Sharpness: the variance of the Laplacian (J. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
ICPR 2000).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import cv2.data
import msgspec
import numpy as np
from cv2.typing import MatLike

from ohmesh.errors import ArgumentsRefused, InvalidArgument
from ohmesh.handlers.declaration import agent
from ohmesh.policies.image_header import image_size

PIXELS_MAX = 50_000_000
SIDE_PIXELS_MAX = 8_192  # of a resized copy
FACE_SCALE_STEP = 1.1
FACE_NEIGHBOURS = 4

Operation = Literal["faces", "size", "resize", "describe"]
Encoding = Literal["png", "jpeg"]

# A worker has a process for each core already. This module is loaded by runner processes only.
cv2.setNumThreads(1)


class Box(msgspec.Struct, frozen=True):
    """In pixels, from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Faces(msgspec.Struct, frozen=True):
    faces_detected: int
    faces: list[Box]


class Size(msgspec.Struct, frozen=True):
    width: int
    height: int


class Description(msgspec.Struct, frozen=True):
    """`mean_colour` is red, green, blue from 0 to 255; `sharpness` is near 0 where nothing has an edge."""

    width: int
    height: int
    channels: int
    mean_colour: tuple[float, float, float]
    sharpness: float


@agent(kind="image", capabilities=("image", "vision"))
def image(
    image: bytes,
    operation: Operation = "faces",
    *,
    width: int = 0,
    height: int = 0,
    encoding: Encoding = "png",
) -> Faces | Size | Description | bytes:
    """Do `operation` to a picture. resize takes `width` and `height` (0: as the other one wants it) and `encoding`."""
    picture = _decoded(image)
    if operation == "resize":
        return _resized(picture, width, height, encoding)
    if operation == "size":
        return _size(picture)
    return _described(picture) if operation == "describe" else _faces(picture)


def _decoded(image: bytes) -> MatLike:
    try:
        width, height = image_size(image)
    except InvalidArgument as error:
        raise ArgumentsRefused(error.message, hint=error.hint) from None
    if width * height > PIXELS_MAX:
        raise ArgumentsRefused(
            f"The image is {width} x {height} pixels; at most {PIXELS_MAX:,} are decoded.",
            hint="Send a smaller copy.",
        )
    # Only these two formats have transparency to keep, and only others are turned by their EXIF data.
    flags = cv2.IMREAD_UNCHANGED if image.startswith((b"\x89PNG", b"RIFF")) else cv2.IMREAD_ANYCOLOR
    try:
        picture = cv2.imdecode(np.frombuffer(image, dtype=np.uint8), flags)
    except cv2.error as error:
        raise ArgumentsRefused(f"The image cannot be decoded: {str(error).strip()}.") from None
    if picture is None:
        raise ArgumentsRefused(
            f"The image of {len(image)} bytes cannot be decoded: its header says {width} x {height} pixels, "
            "and what follows is damaged or incomplete.",
            hint="Send the whole file.",
        )
    return picture if picture.dtype == np.uint8 else cv2.convertScaleAbs(picture, alpha=1 / 257)


def _faces(picture: MatLike) -> Faces:
    found = _cascade().detectMultiScale(_grey(picture), FACE_SCALE_STEP, FACE_NEIGHBOURS)
    boxes = [Box(*(int(number) for number in box)) for box in found]
    return Faces(len(boxes), boxes)


def _size(picture: MatLike) -> Size:
    height, width = picture.shape[:2]
    return Size(width, height)


def _described(picture: MatLike) -> Description:
    size = _size(picture)
    colour = cv2.mean(picture)
    blue, green, red = colour[:3] if _channels(picture) > 1 else (colour[0],) * 3
    sharpness = float(cv2.Laplacian(_grey(picture), cv2.CV_64F).var())
    return Description(size.width, size.height, _channels(picture), (red, green, blue), sharpness)


def _resized(picture: MatLike, width: int, height: int, encoding: Encoding) -> bytes:
    size = _size(picture)
    wanted = _wanted(size, width, height)
    shrinks = wanted.width * wanted.height < size.width * size.height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    resized = cv2.resize(picture, (wanted.width, wanted.height), interpolation=how)
    _, encoded = cv2.imencode(".jpg" if encoding == "jpeg" else ".png", resized)
    return encoded.tobytes()


def _wanted(size: Size, width: int, height: int) -> Size:
    """The size asked for; a side that was left out keeps the proportions."""
    if not 0 <= width <= SIDE_PIXELS_MAX or not 0 <= height <= SIDE_PIXELS_MAX or not (width or height):
        raise ArgumentsRefused(
            f"The image cannot be resized to {width} x {height} pixels.",
            hint=f"Give width=, height= or both, from 1 to {SIDE_PIXELS_MAX}.",
        )
    width_kept = width or max(1, round(size.width * height / size.height))
    height_kept = height or max(1, round(size.height * width / size.width))
    if max(width_kept, height_kept) > SIDE_PIXELS_MAX:
        raise ArgumentsRefused(
            f"Resized in proportion the image would be {width_kept} x {height_kept} pixels; "
            f"a side has at most {SIDE_PIXELS_MAX}.",
            hint="Give both width= and height=.",
        )
    return Size(width_kept, height_kept)


def _channels(picture: MatLike) -> int:
    return picture.shape[2] if picture.ndim == 3 else 1


def _grey(picture: MatLike) -> MatLike:
    channels = _channels(picture)
    if channels == 1:
        return picture
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2GRAY if channels == 4 else cv2.COLOR_BGR2GRAY)


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
