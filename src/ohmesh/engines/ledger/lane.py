"""A lane: threads of its own, each with at most one connection. The writer's lane has one thread, the readers' a few.

Bounded in three ways: how many jobs may wait (then Backpressure), how long an answer may take (then the connection is
interrupted and EngineUnavailable raised), how long `close` waits.

Invariants: a job runs in one transaction, committed when it returns; a job may run twice when its connection was
found dead, so jobs are idempotent; a connection is interrupted only while the job that holds it is the one meant.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import PoolProxiedConnection

from ohmesh.engines.ledger.database import Database
from ohmesh.errors import Backpressure, EngineUnavailable, OhmeshError

Result = TypeVar("Result")
Job = Callable[[Connection], Result]

_RETRY_AFTER_MS = 250


class _Ticket:
    """One job in flight, and the connection it holds just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._driver: PoolProxiedConnection | None = None
        self.given_up = False

    def hold(self, driver: PoolProxiedConnection) -> None:
        with self._lock:
            self._driver = driver

    def release(self) -> None:
        with self._lock:
            self._driver = None

    def give_up(self, database: Database) -> None:
        with self._lock:
            self.given_up = True
            if self._driver is not None:
                database.interrupt(self._driver)


class Lane:
    def __init__(
        self, database: Database, engine: Engine, *, threads: int, waiting_max: int, answer_ms: int
    ) -> None:
        self._database = database
        self._engine = engine
        self._answer_ms = answer_ms
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="ohmesh-ledger")
        self._places = threading.BoundedSemaphore(waiting_max + threads)
        self._in_flight: set[_Ticket] = set()

    async def run(self, doing: str, job: Job[Result]) -> Result:
        """The job's result. `doing` completes the sentence "Could not ..." of an error."""
        if not self._places.acquire(blocking=False):
            raise Backpressure(
                f"Could not {doing}: too many requests are waiting for the ledger.",
                retry_after_ms=_RETRY_AFTER_MS,
                hint="Ask again shortly, or raise the bounds waiting_reads_max and waiting_records_max.",
            )
        ticket = _Ticket()
        future = self._submit(ticket, doing, job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._answer_ms / 1000)
        except TimeoutError:
            ticket.give_up(self._database)
            raise EngineUnavailable(
                f"Could not {doing}: {self._database.shown} gave no answer within {self._answer_ms} ms.",
                hint="Whether it happened is not known; try again, and look at the database's own log.",
            ) from None

    async def close(self, wait_ms: int) -> None:
        """Let running jobs end, interrupt them after `wait_ms`; then close the connections."""
        ended = asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)
        done, _ = await asyncio.wait({ended}, timeout=wait_ms / 1000)
        if not done:
            for ticket in tuple(self._in_flight):
                ticket.give_up(self._database)
            await ended
        await asyncio.to_thread(self._engine.dispose)

    def _submit(self, ticket: _Ticket, doing: str, job: Job[Result]) -> Future[Result]:
        try:
            future = self._executor.submit(self._work, ticket, doing, job)
        except RuntimeError:
            self._places.release()
            raise EngineUnavailable(
                f"Could not {doing}: the ledger is closed.", hint="Open it again."
            ) from None
        self._in_flight.add(ticket)
        future.add_done_callback(lambda _: self._leave(ticket))
        return future

    def _leave(self, ticket: _Ticket) -> None:
        self._in_flight.discard(ticket)
        self._places.release()

    def _work(self, ticket: _Ticket, doing: str, job: Job[Result]) -> Result:
        try:
            try:
                return self._attempt(ticket, job)
            except _FoundDead:
                return self._attempt(ticket, job)
        except OhmeshError:
            raise
        except _FoundDead as dead:
            raise self._database.translate(dead.error, doing) from dead.error
        except Exception as error:
            raise self._database.translate(error, doing) from error

    def _attempt(self, ticket: _Ticket, job: Job[Result]) -> Result:
        with self._engine.connect() as connection:
            driver = connection.connection
            ticket.hold(driver)
            try:
                with connection.begin():
                    return job(connection)
            except OhmeshError:
                raise
            except Exception as error:
                if not self._database.is_spent(error, driver):
                    raise
                connection.invalidate(error)
                if ticket.given_up:
                    raise
                raise _FoundDead(error) from error
            finally:
                ticket.release()


class _FoundDead(Exception):
    """The connection had died, perhaps long ago; a new one may do."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
