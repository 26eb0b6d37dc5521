"""How keys lie in their NATS key-value bucket (ADR-8): names, filters, and which messages mean that a key is gone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ohmesh.errors import InvalidArgument
from ohmesh.model.subject import checked_name

_KEY = re.compile(r"[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*\Z")


class Bucket:
    def __init__(self, mesh: str) -> None:
        name = f"ohmesh-{checked_name(mesh, 'mesh name')}"
        self.stream = f"KV_{name}"
        self.root = f"$KV.{name}."

    def subject(self, key: str) -> str:
        if not _KEY.match(key):
            raise InvalidArgument(
                f"{key!r} is not a valid key.",
                hint="Use words of letters, digits and -_=/ with dots between them.",
            )
        return self.root + key

    def key(self, subject: str) -> str:
        return subject[len(self.root) :]

    def filter(self, prefix: str) -> str:
        """The narrowest subject filter that lets every key with this prefix through; the rest is startswith."""
        whole_words, dot, _ = prefix.rpartition(".")
        return f"{self.root}{whole_words}.>" if dot else f"{self.root}>"


def is_deletion(headers: Mapping[str, str] | None) -> bool:
    """Whether a message with these headers says that its key was deleted or ran out."""
    if not headers:
        return False
    return "Nats-Marker-Reason" in headers or headers.get("KV-Operation") in ("DEL", "PURGE")
