"""What the verbs about webhooks take; the conventions are those of `arguments.py`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.operations.event_types import check_types, checked_type
from ohmesh.registry.fields import EVENTS
from ohmesh.registry.selector import compile_selector

_POSITIONAL = {"positional": True}
SECRET = "The secret that signs, as whsec_ and base64; without it one is made."  # noqa: S105 - words about one
Secret = Annotated[str, Meta(description=SECRET, max_length=200)]
Id = Annotated[str, Meta(description="The webhook.", min_length=1, max_length=64, extra=_POSITIONAL)]


class AddWebhook(Struct, frozen=True, kw_only=True):
    address: Annotated[
        str,
        Meta(
            description="The URL that events are sent to.", min_length=1, max_length=2_000, extra=_POSITIONAL
        ),
    ]
    types: Annotated[
        list[str],
        Meta(description="A type of events to be told of, such as task.dead or worker.*.", max_length=50),
    ] = []
    filter: Annotated[
        str, Meta(description="Tell of these only: a selector, such as type=task.* and kind=text.")
    ] = ""
    secret: Secret = ""
    allow_private: Annotated[bool, Meta(description="It may be on this machine or in a private network.")] = (
        False
    )

    def __post_init__(self) -> None:
        for one in self.types:
            checked_type(one, name="types")
        if selector := self.selector:
            check_types(compile_selector(selector, EVENTS))

    @property
    def selector(self) -> str:
        """What `types` and `filter` say together."""
        types = " or ".join(f"type={one}" for one in self.types)
        return f"({types}) and ({self.filter})" if types and self.filter else types or self.filter


class ListWebhooks(Struct, frozen=True, kw_only=True):
    pass


class OneWebhook(Struct, frozen=True, kw_only=True):
    webhook_id: Id


class RotateWebhook(Struct, frozen=True, kw_only=True):
    webhook_id: Id
    secret: Secret = ""
