"""Hearing of the connection while one lives: a bus keeps its watchers for ever, and must not keep us with them."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from ohmesh.ports.bus import Bus


def watch_while_alive(bus: Bus, changed: Callable[[bool], None]) -> None:
    """Call the bound method `changed` at each change, until its object is gone."""
    ours = weakref.WeakMethod(changed)

    def notice(is_connected: bool) -> None:
        method = ours()
        if method is not None:
            method(is_connected)

    bus.watch_connection(notice)
