"""When a schedule is due: in UTC, where clocks change, after a long silence, and what cannot be read."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model.schedule import Schedule
from ohmesh.policies.schedule import NEVER, check_schedule, latest_due_ms, next_due_ms

ZURICH = (
    "Europe/Zurich"  # forward on 2026-03-29 at 02:00 (01:00 UTC), back on 2026-10-25 at 03:00 (01:00 UTC)
)


def cron(text: str, timezone: str = "UTC") -> Schedule:
    return Schedule("s", "kind", b"", text, timezone)


def every(every_ms: int) -> Schedule:
    return Schedule("s", "kind", b"", every_ms=every_ms)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def times(schedule: Schedule, after: str, count: int) -> list[str]:
    """In UTC, of the day and minute."""
    found, at_ms = [], ms(after)
    for _ in range(count):
        at_ms = next_due_ms(schedule, 0, at_ms)
        found.append(datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %H:%M"))
    return found


def test_the_next_time_is_after_the_given_one_and_never_at_it() -> None:
    assert times(cron("*/20 * * * *"), "2026-01-01T00:00", 3) == ["01 00:20", "01 00:40", "01 01:00"]
    assert times(cron("@daily"), "2026-01-01T00:00", 1) == ["02 00:00"]
    assert times(cron("0 9 * * MON-FRI"), "2026-01-02T09:00", 2) == ["05 09:00", "06 09:00"]


def test_a_time_that_does_not_exist_is_due_once_at_the_first_minute_that_does() -> None:
    assert times(cron("30 2 * * *", ZURICH), "2026-03-28T00:00", 3) == ["28 01:30", "29 01:00", "30 00:30"]


def test_several_times_of_the_hour_that_does_not_exist_are_due_together_once() -> None:
    assert times(cron("0,30 2,3 * * *", ZURICH), "2026-03-29T00:30", 3) == [
        "29 01:00",
        "29 01:30",
        "30 00:00",
    ]


def test_a_time_that_exists_twice_is_due_the_first_time_only() -> None:
    daily = cron("30 2 * * *", ZURICH)
    assert times(daily, "2026-10-24T00:00", 3) == ["24 00:30", "25 00:30", "26 01:30"]
    assert times(daily, "2026-10-25T01:10", 1) == ["26 01:30"]  # asked in the hour that comes again


def test_what_is_due_every_half_hour_is_so_in_the_hour_that_comes_twice() -> None:
    often = cron("*/30 * * * *", ZURICH)
    assert times(often, "2026-10-24T23:59", 5) == ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00"]
    assert times(often, "2026-03-29T00:29", 3) == ["29 00:30", "29 01:00", "29 01:30"]


def test_an_interval_is_counted_from_its_beginning_and_does_not_drift() -> None:
    half_minute = every(30_000)
    assert next_due_ms(half_minute, 1_007, 1_007) == 31_007
    assert next_due_ms(half_minute, 1_007, 31_006) == 31_007
    assert next_due_ms(half_minute, 1_007, 31_007) == 61_007
    assert next_due_ms(half_minute, 1_007, 100_000) == 121_007


def test_what_never_comes_is_never() -> None:
    assert next_due_ms(cron("0 0 * * *"), 0, 253_370_764_800_000) == NEVER
    with pytest.raises(InvalidArgument, match=r"^cron: .*bad day-of-month"):
        next_due_ms(cron("0 0 30 2 *"), 0, 0)


def test_the_latest_times_after_years_of_silence_are_found_at_once() -> None:
    begun_s = time.process_time()
    until = ms("2026-06-01T12:00:30")
    found = latest_due_ms(cron("* * * * *"), 0, ms("2006-01-01T00:01"), until, 3)
    assert found == [ms("2026-06-01T11:58"), ms("2026-06-01T11:59"), ms("2026-06-01T12:00")]
    assert latest_due_ms(cron("@yearly"), 0, ms("2020-01-01T00:00"), until, 1) == [ms("2026-01-01T00:00")]
    assert time.process_time() - begun_s < 1.0


@settings(deadline=None, max_examples=60)
@given(
    schedule=st.sampled_from(
        [cron("*/7 * * * *", ZURICH), cron("15,45 1-3 * * *", ZURICH), cron("0 */5 * * *"), every(61_000)]
    ),
    begin=st.integers(ms("2026-03-27T00:00"), ms("2026-03-30T00:00")),
    span_s=st.integers(0, 200_000),
    limit=st.integers(1, 50),
)
def test_the_latest_times_are_the_last_of_all_times(
    schedule: Schedule, begin: int, span_s: int, limit: int
) -> None:
    first_ms = next_due_ms(schedule, begin, begin)
    until_ms = first_ms + span_s * 1000
    walked, due_ms = [], first_ms
    while due_ms <= until_ms:
        walked.append(due_ms)
        due_ms = next_due_ms(schedule, begin, due_ms)
    assert latest_due_ms(schedule, begin, first_ms, until_ms, limit) == walked[-limit:]


@pytest.mark.parametrize(
    ("schedule", "named"),
    [
        (cron("61 * * * *"), "cron: '61 [*] [*] [*] [*]' cannot be read: bad minute"),
        (cron("* * *"), "cron: .*wrong number of fields"),
        (cron("* " * 200), "cron: .*longer than 120"),
        (cron(""), "cron: either cron or every"),
        (Schedule("s", "kind", b"", "* * * * *", every_ms=1_000), "cron: either cron or every"),
        (cron("* * * * *", "Europe/Zurch"), "timezone: there is no time zone 'Europe/Zurch'"),
        (cron("* * * * *", "../../etc/passwd"), "timezone: there is no"),
        (cron("* * * * *", "Europe"), "timezone: there is no"),
        (cron("* * * * *", ""), "timezone: there is no"),
        (every(999), "every: 999 ms is not"),
        (every(10**12), "every: .*366 days"),
    ],
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(schedule: Schedule, named: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{named}"):
        check_schedule(schedule)
