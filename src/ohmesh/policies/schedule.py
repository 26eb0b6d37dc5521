"""When a schedule is due: cron text in a time zone, or a fixed interval.

Where clocks are put forward, a time that does not exist is due once, at the first minute that exists after it; where
they are put back, a time that exists twice is due once, the first time. That holds for texts that name minute and hour
(`30 2 * * *`). Those whose minute or hour begins with a star follow the hours that pass: `*/30 * * * *` is due every
half hour, also in the hour that comes twice (so does Debian's cron, whose rules `cronsim` keeps).

Reading a zone's rules is the one thing here that the machine it runs on has a say in; a dispatcher decides with it and
writes the time down, so a replay does not depend on it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

from ohmesh.errors import InvalidArgument
from ohmesh.model.schedule import Schedule

if TYPE_CHECKING:
    from cronsim import CronSim

EVERY_MIN_MS = 1_000
EVERY_MAX_MS = 366 * 86_400_000
CRON_LENGTH = 120
FIRST_WINDOW_MS = 60_000
NEVER = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_370_764_800_000  # the year 9999
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = "minute, hour, day of month, month, day of week"


def check_schedule(schedule: Schedule) -> None:
    """InvalidArgument begins with the name of the field that is wrong, and says how."""
    if bool(schedule.cron) == bool(schedule.every_ms):
        raise InvalidArgument(
            "cron: either cron or every says when, and not both.",
            hint='Say cron "*/5 * * * *" or every 5min.',
        )
    if schedule.every_ms:
        if not EVERY_MIN_MS <= schedule.every_ms <= EVERY_MAX_MS:
            raise InvalidArgument(f"every: {schedule.every_ms} ms is not between a second and 366 days.")
        return
    _zone(schedule.timezone)
    _parsed(schedule.cron, _EPOCH)


def next_due_ms(schedule: Schedule, anchor_ms: int, after_ms: int) -> int:
    """The first time it is due after `after_ms`; NEVER when there is none. An interval is counted from `anchor_ms`.

    Raises InvalidArgument as `check_schedule` does.
    """
    if schedule.every_ms:
        return anchor_ms + (max(0, after_ms - anchor_ms) // schedule.every_ms + 1) * schedule.every_ms
    if after_ms >= _LAST_MS:
        return NEVER
    start = (_EPOCH + timedelta(milliseconds=after_ms)).astimezone(_zone(schedule.timezone))
    times = _parsed(schedule.cron, start)
    try:
        # More than once only where a zone's clocks change: a time may be named that has passed in fact.
        while (due_ms := _milliseconds(next(times))) <= after_ms:
            continue
    except (StopIteration, OverflowError, ValueError):
        return NEVER
    return due_ms


def latest_due_ms(schedule: Schedule, anchor_ms: int, first_ms: int, until_ms: int, limit: int) -> list[int]:
    """The latest `limit` times from `first_ms`, itself one, to `until_ms`, in order. What a long silence has missed is
    not walked through: only as far back as it takes to find so many."""
    window_ms = FIRST_WINDOW_MS
    while True:
        start_ms = max(first_ms, until_ms - window_ms)
        found: list[int] = []
        due_ms = first_ms if start_ms == first_ms else next_due_ms(schedule, anchor_ms, start_ms)
        while due_ms and due_ms <= until_ms:
            found.append(due_ms)
            due_ms = next_due_ms(schedule, anchor_ms, due_ms)
        if len(found) >= limit or start_ms == first_ms:
            return found[-limit:]
        window_ms *= 2


def _milliseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def _parsed(text: str, start: datetime) -> CronSim:
    from cronsim import CronSim, CronSimError  # only who has a schedule pays for it

    said = _NICKNAMES.get(text.strip().lower(), text)
    try:
        if len(text) > CRON_LENGTH:
            raise CronSimError(f"Longer than {CRON_LENGTH} characters")
        return CronSim(said, start)
    except CronSimError as error:
        reason = str(error)
        reason = reason[0].lower() + reason[1:]
        raise InvalidArgument(
            f"cron: {text[:CRON_LENGTH]!r} cannot be read: {reason}.",
            hint=f'Five fields ({_FIELDS}) such as "*/5 * * * *" or "30 2 * * MON-FRI", or one of '
            f"{', '.join(_NICKNAMES)}.",
        ) from None


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, no name of a file, a directory
        raise InvalidArgument(
            f"timezone: there is no time zone {name!r}.", hint="Name it as in Europe/Zurich, or UTC."
        ) from None
