"""Settings of a pool of runner processes, each with its reason and its bound."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ohmesh.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """What runs and how.

    targets, options: handed to the loader in each process (`module:object`, built-in kinds; see handlers.loading).
    loader: import path of a ports.handler.LoadHandlers; a string, since this process must not import user code.
    import_paths: directories that are importable there, beside the current one.
    sync_processes: one task runs at a time in each. async_processes: many do, in one event loop each.
    """

    targets: tuple[str, ...]
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    loader: str = "ohmesh.handlers.loading:load_handlers"
    import_paths: tuple[str, ...] = ()

    sync_processes: int = os.cpu_count() or 1
    async_processes: int = 1
    async_slots: int = 64  # calls of one async agent at once, where it does not say
    async_tasks_max: int = 1024  # in one async process, all agents together

    # Width: an agent holds what runs at once, and as much as will be done within `queue_ahead_ms`.
    queue_ahead_ms: float = 5.0
    slots_max: int = 512
    # A process holds little more than it runs, so that little waits behind a task that turns out slow.
    process_ahead_ms: float = 2.0
    process_tasks_max: int = 256
    envelope_ms: int = 20  # an envelope that has run for so long is not of small tasks: the rest comes back
    hand_back_ms: int = 50  # later than predicted by this much: other hosts may have it

    tick_ms: int = 20  # how often deadlines and shared pages are looked at
    progress_ms: int = 100  # how often reports of progress are looked for
    settle_ms: int = 5  # after which both sides see what the other wrote into the shared page
    cancel_grace_ms: int = 1000  # from asking a task to stop, to killing its process

    start_timeout_ms: int = 60_000  # imports can be heavy
    restart_delay_ms: int = 100  # doubled with each failed start in a row
    restart_delay_max_ms: int = 10_000
    # So many deaths that no task can be blamed for, within the window: all that ran in the last one count an attempt.
    unexplained_deaths_max: int = 3
    unexplained_window_ms: int = 60_000
    exit_grace_ms: int = 1000  # for an idle process to end by itself when the pool stops
    reap_timeout_ms: int = 5_000  # a killed process that is not gone by then is given up

    flush_us: int = 500  # the oldest result waits no longer for company, unless a task is running
    outbox_bytes: int = 256 * 1024
    value_max_bytes: int = 512 * 1024
    traceback_max_chars: int = 4000

    def __post_init__(self) -> None:
        for name in (
            "sync_processes",
            "async_processes",
            "async_slots",
            "slots_max",
            "process_tasks_max",
            "tick_ms",
        ):
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"RunnerConfig.{name} is {getattr(self, name)}.", hint="It must be at least 1."
                )
        if not 4096 <= self.outbox_bytes < 1 << 24:
            raise InvalidArgument(
                f"RunnerConfig.outbox_bytes is {self.outbox_bytes}.", hint="Choose 4096 to 16777215."
            )
