"""What the verbs about history take; the conventions are those of `arguments.py`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

from msgspec import Meta, Struct

from ohmesh.errors import InvalidArgument
from ohmesh.model.history import HISTORY_EVENTS
from ohmesh.model.task import FINAL_STATES
from ohmesh.operations.arguments import MAX_PAGE_TASKS
from ohmesh.operations.moments import parse_moment

ENDED = tuple(sorted(state.value for state in FINAL_STATES))
MAX_EVENTS = 1_000

EndedName = Annotated[str, Meta(extra_json_schema={"enum": ["", *ENDED]})]


class ListHistory(Struct, frozen=True, kw_only=True):
    kind: Annotated[str, Meta(description="Only tasks of this kind.")] = ""
    state: Annotated[EndedName, Meta(description="Only tasks that ended so.")] = ""
    worker: Annotated[str, Meta(description="Only tasks whose last attempt ran on this worker.")] = ""
    since: Annotated[
        str, Meta(description="Ended at or after: how long ago (2h, 1d) or a time (2026-01-31T10:00, UTC).")
    ] = ""
    until: Annotated[str, Meta(description="Ended before; said in the same ways.")] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_PAGE_TASKS)] = 100
    after: Annotated[str, Meta(description="The cursor that the page before ended with.")] = ""

    def __post_init__(self) -> None:
        for name, text in (("since", self.since), ("until", self.until)):
            if text:
                parse_moment(name, text)
        if self.state and self.state.lower() not in ENDED:
            raise InvalidArgument(
                f"state: no task ends as {self.state!r}.",
                hint=f"History knows {', '.join(ENDED)}; `ohmesh tasks` shows what has not ended.",
            )


class ListEvents(Struct, frozen=True, kw_only=True):
    kind: Annotated[
        str, Meta(description="Only events of this kind, such as host_joined or dead_letter.")
    ] = ""
    limit: Annotated[int, Meta(description="At most this many.", ge=1, le=MAX_EVENTS)] = 100

    def __post_init__(self) -> None:
        if self.kind and self.kind not in HISTORY_EVENTS:
            near = get_close_matches(self.kind, HISTORY_EVENTS, n=1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise InvalidArgument(
                f"kind: history holds no events of kind {self.kind!r}.",
                hint=f"{meant}It knows {', '.join(HISTORY_EVENTS)}.",
            )
