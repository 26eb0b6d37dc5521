"""The conflict log over the memory engine: appended, taken over, queried, and every tampering named."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import Fenced
from ohmesh.model.conflict import Conflict, ConflictDetail, ConflictMethod, ConflictState, ConflictType
from ohmesh.ports.log import Entry
from ohmesh.protocols.conflict.chain import read_link
from ohmesh.roles.fleet.conflict_index import STRETCH, ConflictEntry, ConflictQuery
from ohmesh.roles.fleet.conflict_log import ConflictLog
from ohmesh.simulator.run import run_virtual

NAME = "test-conflicts"


def conflict(
    id_: str, at_ms: int, kind: ConflictType = ConflictType.OTHER, *agents: str, ended: bool = False
) -> Conflict:
    return Conflict(
        id=id_,
        detail=ConflictDetail(kind),
        at_ms=at_ms,
        last_ms=at_ms,
        priority=2,
        deadline_ms=at_ms + 1,
        method=ConflictMethod.ASK_A_PERSON,
        agents=agents,
        state=ConflictState.RESOLVED if ended else ConflictState.OPEN,
    )


STORY = (
    conflict("c1", 10, ConflictType.OTHER, "a"),
    conflict("c2", 20, ConflictType.HASH_MISMATCH, "b"),
    conflict("c1", 10, ConflictType.OTHER, "a", ended=True),
    conflict("c3", 30, ConflictType.HASH_MISMATCH, "a", "b"),
)


class Bench:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.notices: list[str] = []

    def log(self, who: str = "one") -> ConflictLog:
        engine = self.cluster.connect(who)
        return ConflictLog(engine.log, engine.state, NAME, self.notices.append, engine.blobs)

    async def written(self) -> ConflictLog:
        log = self.log()
        await log.open()
        for one in STORY:
            await log.append(ConflictEntry(one.at_ms, "opened", one))
        return log

    def tamper(self, sequence: int, **fields: object) -> None:
        """As somebody who can write to the disk would."""
        entries = self.cluster.logs.by_name[NAME].entries
        link = read_link(entries[sequence - 1].data)
        entries[sequence - 1] = Entry(
            sequence, msgspec.msgpack.encode(msgspec.structs.replace(link, **fields))
        )


def with_bench(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        await story(Bench())

    run_virtual(main)


def test_a_successor_goes_on_with_what_is_open() -> None:
    async def story(bench: Bench) -> None:
        await bench.written()
        log = bench.log("two")
        assert {one.id: one.state.value for one in await log.open()} == {
            "c2": "open",
            "c1": "resolved",
            "c3": "open",
        }
        await log.append(ConflictEntry(40, "ended", conflict("c2", 20, ended=True)))
        again = bench.log("three")
        assert [one.id for one in await again.open()] == ["c3", "c2"]
        assert (await again.verify()).is_whole

    with_bench(story)


def test_a_deposed_writer_is_fenced() -> None:
    async def story(bench: Bench) -> None:
        old = await bench.written()
        new = bench.log("two")
        await new.open()
        await new.append(ConflictEntry(40, "opened", conflict("c4", 40)))
        with pytest.raises(Fenced):
            await old.append(ConflictEntry(41, "opened", conflict("c5", 41)))

    with_bench(story)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (ConflictQuery(), ["c3", "c2", "c1"]),
        (ConflictQuery(limit=1), ["c3"]),
        (ConflictQuery(since_ms=20), ["c3", "c2"]),
        (ConflictQuery(until_ms=20), ["c2", "c1"]),
        (ConflictQuery(since_ms=11, until_ms=29), ["c2"]),
        (ConflictQuery(agent="a"), ["c3", "c1"]),
        (ConflictQuery(type=ConflictType.HASH_MISMATCH), ["c3", "c2"]),
        (ConflictQuery(type=ConflictType.HASH_MISMATCH, agent="a"), ["c3"]),
        (ConflictQuery(agent="z"), []),
    ],
)
def test_it_is_queried_by_time_agent_and_type(query: ConflictQuery, ids: list[str]) -> None:
    async def story(bench: Bench) -> None:
        log = await bench.written()
        assert [one.id for one in await log.query(query)] == ids

    with_bench(story)


def test_a_conflict_has_its_story() -> None:
    async def story(bench: Bench) -> None:
        log = await bench.written()
        assert [entry.conflict.state.value for entry in await log.find("c1")] == ["open", "resolved"]

    with_bench(story)


@pytest.mark.parametrize("sequence", [1, 2, 3, 4])
def test_a_tampered_entry_is_found_and_named(sequence: int) -> None:
    async def story(bench: Bench) -> None:
        log = await bench.written()
        assert (await log.verify()).is_whole
        bench.tamper(sequence, body=read_link(bench.cluster.logs.by_name[NAME].entries[0].data).body + b"\0")
        verdict = await log.verify()
        assert (verdict.is_whole, verdict.sequence) == (False, sequence)

    with_bench(story)


def test_an_end_that_was_cut_off_is_found() -> None:
    async def story(bench: Bench) -> None:
        log = await bench.written()
        store = bench.cluster.logs.by_name[NAME]
        store.entries.pop()
        verdict = await log.verify()
        assert (verdict.is_whole, verdict.sequence) == (False, 4)

    with_bench(story)


def test_who_takes_over_says_that_a_log_is_not_whole_and_goes_on_after_it() -> None:
    async def story(bench: Bench) -> None:
        await bench.written()
        bench.tamper(3, body=b"x")
        log = bench.log("two")
        assert {one.id for one in await log.open()} == {"c2", "c3"}
        assert any("Entry 3" in notice for notice in bench.notices)
        await log.append(ConflictEntry(40, "opened", conflict("c4", 40)))
        assert (await log.verify()).sequence == 3

    with_bench(story)


def test_a_whole_log_of_many_pages_is_verified() -> None:
    async def story(bench: Bench) -> None:
        log = bench.log()
        await log.open()
        for number in range(1_200):
            await log.append(ConflictEntry(number, "opened", conflict(f"c{number}", number, ended=True)))
        assert (await log.verify()).head.sequence == 1_200
        bench.tamper(500, previous=b"\1" * 32)
        assert (await log.verify()).sequence == 500
        await asyncio.sleep(0)

    with_bench(story)


def seeded_story(seed: int, count: int) -> list[ConflictEntry]:
    """Conflicts of a few agents that are reported, change and end in any order; time goes on."""
    rng = random.Random(seed)
    now_ms, live, entries = 0, dict[str, Conflict](), list[ConflictEntry]()
    for number in range(count):
        now_ms += rng.randrange(3)
        if not live or rng.random() < 0.3:
            agents = tuple(rng.sample(["a", "b", "c", "d"], rng.randint(1, 2)))
            one = conflict(f"c{number}", now_ms, rng.choice(list(ConflictType)), *agents)
        else:
            one = live[rng.choice(sorted(live))]
            held = ("x",) if rng.random() < 0.3 else ()
            state = ConflictState.RESOLVED if rng.random() < 0.4 else ConflictState.RESOLVING
            one = msgspec.structs.replace(one, last_ms=now_ms, quarantined=held, state=state)
        live[one.id] = one
        if one.is_ended:
            del live[one.id]
        entries.append(ConflictEntry(now_ms, "moved", one))
    return entries


def naively(entries: list[ConflictEntry], query: ConflictQuery) -> list[Conflict]:
    last = {entry.conflict.id: entry.conflict for entry in entries}
    found = sorted(last.values(), key=lambda one: (one.last_ms, one.id), reverse=True)
    return [one for one in found if query.fits(one)][: query.limit]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_found_by_summaries_is_what_reading_all_of_it_would_find(seed: int) -> None:
    entries = seeded_story(seed, 3 * STRETCH + 77)
    end_ms = entries[-1].at_ms
    queries = [
        ConflictQuery(since_ms=since, until_ms=since + span, agent=agent, type=kind, limit=limit)
        for since in (0, end_ms // 2, end_ms - 20)
        for span in (30, 10 * end_ms)
        for agent in ("", "a", "x", "nobody")
        for kind in (None, ConflictType.HASH_MISMATCH)
        for limit in (3, 10_000)
    ]

    async def story(bench: Bench) -> None:
        log = bench.log()
        await log.open()
        for at, entry in enumerate(entries):
            await log.append(entry)
            if at == 700:
                assert await log.query(ConflictQuery(limit=1))  # from here on the index goes along
        successor = bench.log("two")
        await successor.open()
        for query in queries:
            wanted = naively(entries, query)
            assert await log.query(query) == wanted
            assert await successor.query(query) == wanted
        one = entries[300].conflict.id
        assert await successor.find(one) == [entry for entry in entries if entry.conflict.id == one]

    with_bench(story)


def test_only_what_may_answer_is_read() -> None:
    async def story(bench: Bench) -> None:
        log = bench.log()
        await log.open()
        for number in range(4 * STRETCH + 1):
            agent = "rare" if number == STRETCH + 5 else "common"
            await log.append(
                ConflictEntry(
                    number, "ended", conflict(f"c{number}", number, ConflictType.OTHER, agent, ended=True)
                )
            )
        successor = bench.log("two")
        await successor.open()
        await successor.query(ConflictQuery(agent="nobody"))
        read: list[int] = []
        stretch = successor.index._read

        async def counted(first: int, count: int) -> list[ConflictEntry | None]:
            read.append(first)
            return await stretch(first, count)

        successor.index._read = counted
        (found,) = await successor.query(ConflictQuery(agent="rare"))
        assert (found.id, read) == (f"c{STRETCH + 5}", [STRETCH + 1])
        await successor.query(ConflictQuery(limit=1))
        await successor.query(ConflictQuery(since_ms=4 * STRETCH - 3))
        assert read[1:] == [4 * STRETCH + 1, 4 * STRETCH + 1, 3 * STRETCH + 1]

    with_bench(story)


def test_a_summary_of_what_the_log_lost_and_wrote_otherwise_is_made_anew() -> None:
    async def story(bench: Bench) -> None:
        blobs, key = bench.cluster.connect("reader").blobs, f"conflicts/index/{NAME}/0"
        summaries = []
        for agent in ("before", "after"):
            bench.cluster.logs.by_name.pop(NAME, None)
            log = bench.log(agent)
            await log.open()
            for number in range(STRETCH):
                one = conflict(f"{agent}{number}", number, ConflictType.OTHER, agent, ended=True)
                await log.append(ConflictEntry(number, "ended", one))
            summaries.append(await blobs.get(key))
        assert summaries[0] is not None
        await blobs.put(key, summaries[0])
        successor = bench.log("successor")
        await successor.open()
        assert len(await successor.query(ConflictQuery(agent="after", limit=1_000))) == STRETCH
        assert await blobs.get(key) == summaries[1]

    with_bench(story)
