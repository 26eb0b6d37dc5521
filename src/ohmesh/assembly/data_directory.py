"""The data directory of a mesh: made for its owner only, marked as ours, and never taken for another's.

<root>/mesh.json      which mesh lives here and how it is cut into shards; written once
<root>/runtime.json   where it is reached now, while it runs
<root>/ledger.db      history
<root>/...            the engine's own files (engines/nats/embedded.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs

from ohmesh.engines.nats.runtime_file import write_private
from ohmesh.errors import EngineFailed, InvalidArgument

_MARK = "mesh.json"
_OWNER_ONLY = 0o700


class Shape(msgspec.Struct, frozen=True):
    """What must never change once tasks are stored: a kind lives in shard crc32(kind) % shards."""

    mesh: str
    shards: int


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

    def prepare(self, shards: int, *, is_chosen: bool) -> Shape:
        """Make it, or check that it is ours; returns the shape that is kept here.

        is_chosen: `shards` was asked for by the user, so another number in the mark is an error; else the mark says.
        """
        try:
            self.root.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            if not self.root.is_dir():
                raise NotADirectoryError(20, "it is not a directory")
            shape = self._read_or_mark(shards)
            self.root.chmod(_OWNER_ONLY)
        except OSError as error:
            raise self.unusable(error) from error
        self._check(shape, shards, is_chosen=is_chosen)
        return shape

    def shape(self) -> Shape | None:
        """What is kept here, None when nothing of ours is. EngineFailed when it cannot be looked at, or is damaged."""
        try:
            content = self.mark.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.unusable(error) from error
        try:
            return msgspec.json.decode(content, type=Shape)
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

    def _read_or_mark(self, shards: int) -> Shape:
        shape = self.shape()
        if shape is not None:
            return shape
        strange = sorted(entry.name for entry in self.root.iterdir() if not entry.name.startswith("."))
        if strange:
            raise InvalidArgument(
                f"{self.root} is not empty and holds no mesh of ohmesh (there is {strange[0]!r}).",
                hint="Give --data an empty or a new directory.",
            )
        shape = Shape(self.mesh, shards)
        write_private(self.mark, msgspec.json.encode(shape) + b"\n")
        return shape

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


def default_data_directory(mesh: str) -> Path:
    return Path(platformdirs.user_data_dir("ohmesh")) / mesh


def open_to_others(path: Path) -> bool:
    """Whether anybody but the owner may read, list or change it."""
    return bool(path.stat().st_mode & 0o077)
