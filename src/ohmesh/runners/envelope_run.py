"""One envelope in a runner process: its items one after the other, their results committed in parts.

Values are gathered and committed when the first of them is `COMMIT_NS` old, so a crash loses at most the results of so
much work (those items run again) and a tiny task costs no row of its own. What fails is committed at once.
An envelope ends early, with its rest undone, when it has run for too long, brought too much or failed too often:
then its items are better off as tasks of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import structs

from ohmesh.model.envelope import item_id, split
from ohmesh.model.task import Grant, Outcome, OutcomeStatus
from ohmesh.policies.failure import RetryRule
from ohmesh.runners.outbox import Outbox
from ohmesh.runners.page import ITEM, SINCE
from ohmesh.runners.verdict import check_size, failed
from ohmesh.runners.wire import Load, Row

COMMIT_NS = 100_000
VALUES_BYTES_MAX = 128 * 1024
FAILURES_MAX = 8


class EnvelopeRun:
    """`add` the encoded value of each item in turn, or `fail` it; `is_over` after each; then `end`."""

    def __init__(
        self,
        work: tuple[int, Grant],
        outbox: Outbox,
        settings: Load,
        rule: RetryRule,
        *,
        commit_ns: int = COMMIT_NS,
    ) -> None:
        """`work`: the number and the grant of the envelope. `rule`: what its failures mean."""
        number, grant = work
        self.payloads = split(grant.payload)
        self.began_ns = self.item_began_ns = self._part_began_ns = time.monotonic_ns()
        self._until_ns = self.began_ns + settings.envelope_ms * 1_000_000
        self._number = number
        self._grant = grant
        self._outbox = outbox
        self._settings = settings
        self._rule = rule
        self._commit_ns = commit_ns
        self._wall_offset_ns = time.time_ns() - self.began_ns
        self._part: list[bytes] = []
        self._done = 0
        self._values_bytes = 0
        self._failures = 0

    def run(self, invoke: Callable[[bytes], bytes], words: memoryview) -> None:
        """All of it, by a sync handler: what `add` and `fail` do, in one loop, for the smaller a task is the more each
        step around it counts. `words` are those of the page."""
        part, most_bytes, clock_ns = self._part, self._settings.value_max_bytes, time.monotonic_ns
        for index, payload in enumerate(self.payloads):
            words[ITEM] = index
            words[SINCE] = self.item_began_ns
            try:
                value = invoke(payload)
                if len(value) > most_bytes:
                    check_size(value, most_bytes)
            except BaseException as error:  # noqa: BLE001 - whatever user code raises is its outcome, SystemExit too
                if self.fail(error):
                    continue
                break
            part.append(value)
            self._values_bytes += len(value)
            now_ns = self.item_began_ns = clock_ns()
            if now_ns - self._part_began_ns >= self._commit_ns:
                self._commit(now_ns)
                if now_ns >= self._until_ns or self._values_bytes >= VALUES_BYTES_MAX:
                    break
        self.end()

    def add(self, value: bytes) -> bool:
        """The item succeeded. Whether another one may begin."""
        check_size(value, self._settings.value_max_bytes)
        self._part.append(value)
        self._values_bytes += len(value)
        now_ns = self.item_began_ns = time.monotonic_ns()
        if now_ns - self._part_began_ns >= self._commit_ns:
            self._commit(now_ns)
        return now_ns < self._until_ns and self._values_bytes < VALUES_BYTES_MAX

    def fail(self, error: BaseException) -> bool:
        """The item raised this. Whether another one may begin."""
        now_ns = time.monotonic_ns()
        self._commit(now_ns)
        item = structs.replace(self._grant, task_id=item_id(self._grant.task_id, self._done))
        ran = item, self._wall_ms(self.item_began_ns), self._wall_ms(now_ns)
        outcome = failed(ran, error, self._rule, max_chars=self._settings.traceback_max_chars)
        self.fail_by(outcome)
        return now_ns < self._until_ns and self._failures < FAILURES_MAX

    def fail_by(self, outcome: Outcome) -> None:
        now_ns = time.monotonic_ns()
        self._commit(now_ns)
        self._outbox.add(Row(self._number, now_ns - self.item_began_ns, outcome, self._done, 1), now_ns)
        self._done += 1
        self._failures += 1
        self.item_began_ns = self._part_began_ns = now_ns

    def end(self) -> None:
        """Commit what is left, and the row of the envelope itself."""
        now_ns = time.monotonic_ns()
        self._commit(now_ns)
        is_whole = self._done == len(self.payloads) and not self._failures
        outcome = Outcome(
            self._grant.lease,
            self._grant.task_id,
            OutcomeStatus.SUCCEEDED if is_whole else OutcomeStatus.OPENED,
            started_ms=self._wall_ms(self.began_ns),
            ended_ms=self._wall_ms(now_ns),
        )
        self._outbox.add(Row(self._number, now_ns - self.began_ns, outcome), now_ns)

    def _commit(self, now_ns: int) -> None:
        part = self._part
        if part:
            value = b"".join(part)
            outcome = Outcome(self._grant.lease, self._grant.task_id, OutcomeStatus.SUCCEEDED, value)
            self._outbox.add(Row(self._number, 0, outcome, self._done, len(part)), now_ns)
            self._done += len(part)
            part.clear()
        self._part_began_ns = now_ns

    def _wall_ms(self, monotonic_ns: int) -> int:
        return (monotonic_ns + self._wall_offset_ns) // 1_000_000
