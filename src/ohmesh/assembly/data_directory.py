"""The data directory of a mesh: made for its owner only, marked as ours, and never taken for another's.

A mesh is more than its name: two that are called the same have different ids, and nothing of one is ever written into
the directory or the history of the other. A mesh that runs elsewhere has a directory of its own for what our part of it
keeps, and its engine's files are not there.

<root>/mesh.json      which mesh lives here and how it is cut into shards
<root>/runtime.json   where it is reached now, while it runs
<root>/ledger.db      history
<root>/...            the engine's own files (engines/nats/embedded.py)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import platformdirs

from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import EngineFailed, InvalidArgument

_MARK = "mesh.json"
_STORE = "store"
_OWNER_ONLY = 0o700
_NATS_PORT = 4222
_PLACES_CHARS = 150
_NOT_IN_A_PATH = re.compile(r"[^A-Za-z0-9.]+")


class Shape(msgspec.Struct, frozen=True):
    """What must never change once tasks are stored: a kind lives in shard crc32(kind) % shards.

    id: tells this mesh from all others; "" until it was first started (or last by an ohmesh that gave none).
    """

    mesh: str
    shards: int
    id: str = ""


class Mark(Shape, frozen=True, omit_defaults=True):
    """joins: its engine runs elsewhere."""

    joins: bool = False

    @property
    def shape(self) -> Shape:
        return Shape(self.mesh, self.shards, self.id)


@dataclass(frozen=True, slots=True)
class DataDirectory:
    root: Path
    mesh: str

    @property
    def mark(self) -> Path:
        return self.root / _MARK

    @property
    def runtime_file(self) -> Path:
        return self.root / "runtime.json"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.root / 'ledger.db'}"

    def prepare(self, shards: int, *, is_chosen: bool, joins: bool = False) -> Shape:
        """Make it, or check that it is ours; returns the shape that is kept here.

        is_chosen: `shards` was asked for by the user, so another number in the mark is an error; else the mark says.
        joins: the engine of the mesh runs elsewhere.
        """
        try:
            self.root.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            if not self.root.is_dir():
                raise NotADirectoryError(20, "it is not a directory")
            mark = self._read_or_mark(shards, joins=joins)
            self.root.chmod(_OWNER_ONLY)
        except OSError as error:
            raise self.unusable(error) from error
        self._check(mark, shards, is_chosen=is_chosen)
        self._check_place(mark, joins=joins)
        return mark.shape

    def belong(self, shape: Shape) -> None:
        """Keep which mesh it is, once its engine has said so."""
        mark = self._mark()
        if mark is None or mark.id == shape.id:
            return
        try:
            self._write(Mark(mark.mesh, mark.shards, shape.id, mark.joins))
        except OSError as error:
            raise self.unusable(error) from error

    def shape(self) -> Shape | None:
        """What is kept here, None when nothing of ours is. EngineFailed when it cannot be looked at, or is damaged."""
        mark = self._mark()
        return None if mark is None else mark.shape

    def _mark(self) -> Mark | None:
        try:
            content = self.mark.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.unusable(error) from error
        try:
            return msgspec.json.decode(content, type=Mark)
        except msgspec.MsgspecError as error:
            raise EngineFailed(
                f"{self.mark} is damaged: {error}.",
                hint=f'It should read {{"mesh": "{self.mesh}", "shards": ...}} as when the mesh was first started.',
            ) from error

    def unusable(self, error: OSError) -> EngineFailed:
        return EngineFailed(
            f"The data directory {self.root} cannot be used: {error.strerror or error}.",
            hint="Choose another one with --data, or mend its permissions.",
        )

    def _read_or_mark(self, shards: int, *, joins: bool) -> Mark:
        mark = self._mark()
        if mark is not None:
            return mark
        strange = sorted(entry.name for entry in self.root.iterdir() if not entry.name.startswith("."))
        if strange:
            raise InvalidArgument(
                f"{self.root} is not empty and holds no mesh of ohmesh (there is {strange[0]!r}).",
                hint="Give --data an empty or a new directory.",
            )
        mark = Mark(self.mesh, shards, joins=joins)
        self._write(mark)
        return mark

    def _write(self, mark: Mark) -> None:
        write_private(self.mark, msgspec.json.encode(mark) + b"\n")

    def _check_place(self, mark: Mark, *, joins: bool) -> None:
        if joins and (self.root / _STORE).exists():
            raise InvalidArgument(
                f"{self.root} holds the engine and the data of a mesh of this machine, not of the one at the URL.",
                hint="Choose another directory with --data, or say nothing: each URL has one of its own.",
            )
        if mark.joins and not joins:
            raise InvalidArgument(
                f"{self.root} belongs to a mesh whose engine runs elsewhere.",
                hint="Say which one with --url URL or --context NAME, or choose another directory with --data.",
            )

    def _check(self, shape: Shape, shards: int, *, is_chosen: bool) -> None:
        if shape.mesh != self.mesh:
            raise InvalidArgument(
                f"{self.root} holds the mesh {shape.mesh!r}, not {self.mesh!r}.",
                hint=f"Start it with --mesh {shape.mesh}, or choose another directory with --data.",
            )
        if is_chosen and shape.shards != shards:
            raise InvalidArgument(
                f"The mesh in {self.root} was started with {shape.shards} shard(s); with {shards} its kinds would move "
                "to other logs, away from their tasks.",
                hint=f"Go on with --shards {shape.shards} (or say nothing), or start a new mesh with --data DIR.",
            )


def default_data_directory(mesh: str, url: str = "") -> Path:
    """Of a mesh of this machine, or of our part of the one at `url`: what is at another URL is another mesh."""
    home = Path(platformdirs.user_data_dir("ohmesh"))
    if not url:
        return home / mesh
    places = "+".join(sorted({_place(one.strip()) for one in url.split(",")}))
    return home / f"{mesh}@{places[:_PLACES_CHARS]}"


def _place(url: str) -> str:
    """host-port, without what else a URL may hold."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or url, parts.port or _NATS_PORT
    except ValueError:  # no URL at all: it is refused by who connects
        host, port = url, _NATS_PORT
    return f"{_NOT_IN_A_PATH.sub('-', host)}-{port}"


def open_to_others(path: Path) -> bool:
    """Whether anybody but the owner may read, list or change it."""
    return bool(path.stat().st_mode & 0o077)
