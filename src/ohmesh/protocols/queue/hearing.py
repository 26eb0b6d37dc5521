"""Whether a host hears what it is told. One that reports and hears nothing holds tasks that never reached it, and looks
alive: so what counts as alive is that it has seen a frame, not that it beats.

Every frame of grants has a number, and a report names the last one that was seen. The newest frame that was sent is
awaited; when reports do not name it for as long as a lease lasts, the host is deaf: its grants that never arrived are
handed back, and it is granted nothing until it has seen that frame or a later one.
"""

from __future__ import annotations

from ohmesh.protocols.queue.fleet import HostSlots


def note_seen(host: HostSlots, number: int, at_ms: int) -> None:
    """A report of this epoch names `number`. Under load there is always a newer frame on its way, so one is picked and
    waited for."""
    if number >= host.awaited:
        host.awaited = host.told
        host.awaited_since_ms = at_ms
        host.is_deaf = False
    elif at_ms - host.awaited_since_ms >= host.lease_ms:
        host.is_deaf = True


def excuse(host: HostSlots, at_ms: int, missed_ms: int | None) -> None:
    """What it said for so long could not be heard, and what it was told may have waited for as long."""
    since_ms = at_ms if missed_ms is None else host.awaited_since_ms + missed_ms
    host.awaited_since_ms = min(at_ms, since_ms)
