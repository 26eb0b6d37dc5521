"""The port State, as its docstrings promise it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import pytest

from ohmesh.errors import EngineUnavailable, RevisionConflict
from ohmesh.ports.state import State, StateEntry
from tests.contract.conftest import MakeEngine, OnEngine
from tests.waiting import eventually


class Watching:
    """A watch that runs beside the test and keeps what it was shown."""

    def __init__(self, state: State, prefix: str) -> None:
        self.shown: list[StateEntry] = []
        self._task = asyncio.create_task(self._watch(state.watch(prefix)))

    async def _watch(self, entries: AsyncIterator[StateEntry]) -> None:
        async with aclosing(cast("AsyncGenerator[StateEntry]", entries)):
            async for entry in entries:
                self.shown.append(entry)

    async def until(self, *wanted: tuple[str, bytes | None]) -> None:
        """Until the newest entries of these keys have these values."""
        await eventually(lambda: set(wanted) <= self.newest().items(), what=f"shown: {wanted}")

    def newest(self) -> dict[str, bytes | None]:
        return {entry.key: entry.value for entry in self.shown}

    async def ended(self) -> None:
        """Until it ends by itself; raises what it ended with."""
        await self._task

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def test_a_key_is_absent_until_it_is_put_and_then_has_its_bytes(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        assert await state.get("a.b") is None
        for value in (b"", bytes(range(256)), b"x" * 100_000):
            revision = await state.put("a.b", value)
            assert await state.get("a.b") == StateEntry("a.b", value, revision)

    on_engine(scenario)


def test_revisions_rise_over_the_whole_store(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        one, two = (await make()).state, (await make()).state
        revisions = [await state.put(key, b"x") for key in ("a", "b", "a") for state in (one, two)]
        assert revisions == sorted(set(revisions))
        assert revisions[0] > 0

    on_engine(scenario)


def test_a_put_that_expects_another_revision_is_refused(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        first = await state.put("k", b"1", expected=0)
        second = await state.put("k", b"2", expected=first)
        for expected in (0, first, second + 1):
            with pytest.raises(RevisionConflict):
                await state.put("k", b"late", expected=expected)
        with pytest.raises(RevisionConflict):
            await state.put("absent", b"x", expected=second)
        assert await state.get("k") == StateEntry("k", b"2", second)
        assert await state.get("absent") is None

    on_engine(scenario)


def test_of_many_that_create_a_key_exactly_one_does(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        states = [(await make()).state for _ in range(4)]
        tries = [state.put("lease", b"%d" % number, expected=0) for number, state in enumerate(states)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        (winner,) = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
        assert [type(outcome) for outcome in outcomes].count(RevisionConflict) == 3
        entry = await states[0].get("lease")
        assert entry is not None
        assert (entry.value, entry.revision) == (b"%d" % winner, outcomes[winner])

    on_engine(scenario)


def test_a_deleted_key_is_absent_and_can_be_created_again(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        await state.delete("never-there")
        revision = await state.put("k", b"1")
        await state.delete("k")
        await state.delete("k")
        assert await state.get("k") is None
        with pytest.raises(RevisionConflict):
            await state.put("k", b"2", expected=revision)
        again = await state.put("k", b"3", expected=0)
        assert again > revision
        assert await state.get("k") == StateEntry("k", b"3", again)

    on_engine(scenario)


def test_a_delete_that_expects_another_revision_is_refused(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        first = await state.put("k", b"1")
        second = await state.put("k", b"2")
        for expected in (first, 0):
            with pytest.raises(RevisionConflict):
                await state.delete("k", expected=expected)
        assert await state.get("k") == StateEntry("k", b"2", second)
        await state.delete("k", expected=second)
        assert await state.get("k") is None
        with pytest.raises(RevisionConflict):
            await state.delete("k", expected=second)

    on_engine(scenario)


def test_keys_are_those_present_with_the_prefix_sorted(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        assert await state.keys("") == []
        for key in ("hosts.b", "hosts.a", "hosts.gone", "hosts.a.more", "hostess.x", "other"):
            await state.put(key, b"x")
        await state.delete("hosts.gone")
        assert await state.keys("hosts.") == ["hosts.a", "hosts.a.more", "hosts.b"]
        assert await state.keys("") == ["hostess.x", "hosts.a", "hosts.a.more", "hosts.b", "other"]
        assert await state.keys("nothing.") == []

    on_engine(scenario)


def test_thousands_of_keys_are_listed_and_watched(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        keys = sorted(f"agents.{number}" for number in range(2_500))
        for start in range(0, len(keys), 250):
            await asyncio.gather(*(state.put(key, key.encode()) for key in keys[start : start + 250]))
        assert await state.keys("agents.") == keys
        watching = Watching(state, "agents.")
        await eventually(lambda: len(watching.newest()) == len(keys), what="all keys are shown")
        await watching.end()
        assert watching.newest() == {key: key.encode() for key in keys}

    on_engine(scenario)


def test_a_key_with_a_ttl_goes_and_watches_and_lists_know(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state, other = (await make()).state, (await make()).state
        watching = Watching(other, "")
        await state.put("kept", b"x")
        revision = await state.put("lease", b"mine", ttl_ms=1_000)
        assert await state.get("lease") == StateEntry("lease", b"mine", revision)
        await watching.until(("lease", b"mine"), ("kept", b"x"))
        await watching.until(("lease", None))
        await watching.end()
        assert await state.get("lease") is None
        assert await state.keys("") == ["kept"]
        with pytest.raises(RevisionConflict):
            await state.put("lease", b"too late", expected=revision)
        assert await other.put("lease", b"theirs", expected=0) > revision

    on_engine(scenario)


def test_a_put_renews_the_ttl_it_carries_and_drops_the_one_it_does_not(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        loop = asyncio.get_running_loop()
        renewed = await state.put("renewed", b"0", ttl_ms=2_000)
        await state.put("dropped", b"x", ttl_ms=2_000)
        await state.put("let-go", b"x", ttl_ms=2_000)
        dropped = await state.put("dropped", b"for good")
        begun = loop.time()
        watching = Watching(state, "")
        await watching.until(("let-go", b"x"))
        count = 0
        while watching.newest()["let-go"] is not None or loop.time() < begun + 3:
            count += 1
            renewed = await state.put("renewed", b"%d" % count, expected=renewed, ttl_ms=2_000)
            await watching.until(("renewed", b"%d" % count))
            await asyncio.sleep(0.05)
        await watching.end()
        assert None not in [entry.value for entry in watching.shown if entry.key != "let-go"]
        assert await state.get("dropped") == StateEntry("dropped", b"for good", dropped)
        assert await state.get("renewed") == StateEntry("renewed", b"%d" % count, renewed)

    on_engine(scenario)


def test_a_watch_shows_what_is_present_then_every_change_in_the_order_of_revisions(
    on_engine: OnEngine,
) -> None:
    async def scenario(make: MakeEngine) -> None:
        state, other = (await make()).state, (await make()).state
        await state.put("jobs.1", b"old")
        await state.put("jobs.gone", b"x")
        await state.put("elsewhere", b"x")
        await state.delete("jobs.gone")
        await state.put("jobs.1", b"new")
        watching = Watching(other, "jobs.")
        await watching.until(("jobs.1", b"new"))
        for number in range(100):
            await state.put("jobs.2", b"%d" % number)
            await state.put("elsewhere", b"%d" % number)
        await state.delete("jobs.1")
        await state.put("jobs.3", b"last")
        await watching.until(("jobs.3", b"last"), ("jobs.1", None), ("jobs.2", b"99"))
        await watching.end()
        revisions = [entry.revision for entry in watching.shown]
        assert revisions == sorted(set(revisions))
        assert {entry.key for entry in watching.shown} <= {"jobs.1", "jobs.2", "jobs.3", "jobs.gone"}
        values = [entry.value for entry in watching.shown if entry.key == "jobs.2"]
        assert values == [b"%d" % number for number in range(100)]

    on_engine(scenario)


def test_a_watch_ends_with_an_error_when_its_engine_is_closed(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine, other = await make(), await make()
        await other.state.put("k", b"x")
        watching = Watching(engine.state, "")
        await watching.until(("k", b"x"))
        await engine.close()
        with pytest.raises(EngineUnavailable):
            async with asyncio.timeout(10):
                await watching.ended()

    on_engine(scenario)


def test_a_watch_over_nothing_waits_for_the_first_key(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        state = (await make()).state
        watching = Watching(state, "later.")
        revision = await state.put("later.one", b"x")
        await watching.until(("later.one", b"x"))
        await watching.end()
        assert watching.shown == [StateEntry("later.one", b"x", revision)]

    on_engine(scenario)
