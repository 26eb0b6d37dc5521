"""The words that all verbs about a fleet share: whom they mean, when, and what is enough."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ohmesh.model.fleet_message import Timing
from ohmesh.operations.arguments import PriorityName
from ohmesh.registry.fields import FLEET

MAX_AGENTS = 1_000_000
DEFAULT_WINDOW_MS = 500
DEFAULT_TIMEOUT_MS = 5_000
PING_TIMEOUT_MS = 2_000
TIMINGS = ("", Timing.NOW.value, Timing.LEAD.value, Timing.HOLD.value, Timing.PREPARE.value)

POSITIONAL = {"positional": True}
_SELECTOR = (
    f'Only agents that match, as in "class=gpu and sector in (3,7)". Fields: {", ".join(FLEET.names)}.'
)
Filter = Annotated[str, Meta(description=_SELECTOR, extra={"short": "-S"})]
OperationId = Annotated[
    str, Meta(description="Which operation.", min_length=1, max_length=128, extra=POSITIONAL)
]
Seed = Annotated[int, Meta(description="The same seed draws the same sample.", ge=0, le=2**32)]
TimingName = Annotated[
    str,
    Meta(
        description="now: act on receipt; lead: each is told its lead before T; hold: told at once, each waits for T; "
        "prepare: each prepares before T, and all act at T only if the quorum could. Without it: now, or hold where a "
        "window is given.",
        extra_json_schema={"enum": list(TIMINGS)},
    ),
]
Window = Annotated[
    str, Meta(description=f"From now to T, as in 500ms; usually {DEFAULT_WINDOW_MS}ms.", max_length=32)
]
Timeout = Annotated[
    str,
    Meta(
        description=f"Wait so long for answers, as in 5s; usually {DEFAULT_TIMEOUT_MS // 1000}s, "
        f"{PING_TIMEOUT_MS // 1000}s for a ping, and twice the window where that is longer.",
        max_length=32,
    ),
]
Quorum = Annotated[
    float, Meta(description="Done once this part of those that were asked is ready.", gt=0, le=1)
]
Expect = Annotated[
    int, Meta(description="Done once so many are ready, in place of a quorum; 0: not.", ge=0, le=MAX_AGENTS)
]
PriorityOfWish = Annotated[PriorityName, Meta(description="A degraded fleet takes what is urgent only.")]
Approved = Annotated[
    bool, Meta(description="Do it although the fleet is degraded.", extra={"option": "--yes"})
]
Key = Annotated[
    str,
    Meta(description="The same key is the same operation, however often it is asked for.", max_length=200),
]


def check_selector(selector: str) -> None:
    if selector:
        from ohmesh.registry.selector import compile_selector

        compile_selector(selector, FLEET)


Sample = Annotated[
    int, Meta(description="Only so many of them, drawn by chance; 0: all.", ge=0, le=MAX_AGENTS)
]
RequireAck = Annotated[
    bool,
    Meta(
        description="Wait until each has done it; without it until each has it. What is timed is always done.",
        extra={"option": "--ack"},
    ),
]
At = Annotated[
    str,
    Meta(
        description="T as an instant, as in 2026-11-27T20:00:00Z (UTC where no zone is said), or +5s from now, in "
        "place of a window.",
        max_length=40,
    ),
]
Percent = Annotated[
    float,
    Meta(
        description="Only so many of a hundred of them, drawn by chance, at least one; 0: all. More of the same seed "
        "have those in them that were drawn before.",
        ge=0,
        le=100,
    ),
]
DryRun = Annotated[
    bool,
    Meta(description="Only say who would be asked and when, who not and why, and the hit rate to expect."),
]
