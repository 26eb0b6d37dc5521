"""The bus of the memory engine: subjects, groups, requests, order, and what a network does to messages."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.engines.memory.bus import matches
from ohmesh.engines.memory.cluster import MemoryCluster, MemoryEngine
from ohmesh.engines.memory.faults import BusFaults, EngineFaults, EngineLimits
from ohmesh.errors import EngineUnavailable, InvalidArgument, PayloadTooLarge
from ohmesh.ports.bus import Message
from tests.unit.simulator.passing_time import in_virtual_time, pass_time


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a.b", True),
        ("*.b.>", "a.b.c.d", True),
        ("*.b.>", "a.c.c.d", False),
        ("a.*.c", "a.b.c", True),
    ],
)
def test_a_star_stands_for_one_word_and_an_arrow_for_all_that_follow(
    pattern: str, subject: str, fits: bool
) -> None:
    assert matches(pattern.split("."), subject.split(".")) is fits


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6))
def test_every_subject_fits_itself_and_its_wild_forms(words: list[str]) -> None:
    assert matches(words, words)
    assert matches(["*"] * len(words), words)
    assert matches([">"], words)
    assert not matches([*words, ">"], words)


@pytest.mark.parametrize("subject", ["", "a..b", "a b", "a.*", "a.>", ".a", "a."])
def test_only_a_plain_subject_can_be_published_to(subject: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidArgument):
            await MemoryCluster().connect("a").bus.publish(subject, b"")

    in_virtual_time(main())


async def listen(engine: MemoryEngine, subject: str, *, group: str = "") -> list[Message]:
    heard: list[Message] = []
    await engine.bus.subscribe(subject, heard.append, group=group)
    return heard


def test_each_member_of_a_group_gets_a_share_and_the_others_everything() -> None:
    async def main() -> tuple[int, list[int]]:
        cluster = MemoryCluster()
        everything = await listen(cluster.connect("all"), "work.>")
        shares = [await listen(cluster.connect(f"w{number}"), "work.*", group="g") for number in range(3)]
        sender = cluster.connect("sender")
        for number in range(90):
            await sender.bus.publish(f"work.{number}", b"x")
        await pass_time(1.0)
        return len(everything), [len(share) for share in shares]

    everything, shares = in_virtual_time(main())
    assert everything == sum(shares) == 90
    assert min(shares) > 10


def test_an_ended_subscription_hears_nothing_more() -> None:
    async def main() -> list[Message]:
        cluster = MemoryCluster(faults=EngineFaults(bus=BusFaults(delay_ms=(10, 20))))
        engine = cluster.connect("a")
        heard: list[Message] = []
        subscription = await engine.bus.subscribe("s", heard.append)
        await engine.bus.publish("s", b"on its way")
        await subscription.unsubscribe()
        await pass_time(1.0)
        return heard

    assert in_virtual_time(main()) == []


def test_the_first_reply_answers_a_request() -> None:
    async def main() -> bytes:
        cluster = MemoryCluster(faults=EngineFaults(bus=BusFaults(delay_ms=(1, 50))))
        asker = cluster.connect("asker")
        for name in ("one", "two"):
            await answer_with(cluster.connect(name), b"pong")
        return await asker.bus.request("ping", b"", timeout_s=1.0)

    assert in_virtual_time(main()) == b"pong"


async def answer_with(engine: MemoryEngine, data: bytes) -> None:
    tasks: set[asyncio.Task[None]] = set()
    await engine.bus.subscribe(
        "ping", lambda asked: tasks.add(asyncio.create_task(engine.bus.publish(asked.reply, data)))
    )


def test_a_request_fails_at_once_when_nobody_listens_and_in_time_when_nobody_answers() -> None:
    async def main() -> list[float]:
        cluster = MemoryCluster()
        asker, deaf = cluster.connect("asker"), cluster.connect("deaf")
        times = []
        await listen(deaf, "deaf")
        for subject in ("nobody", "deaf"):
            with pytest.raises(EngineUnavailable):
                await asker.bus.request(subject, b"", timeout_s=3.0)
            times.append(asyncio.get_running_loop().time())
        return times

    assert in_virtual_time(main()) == [0.0, 3.0]


def test_one_publisher_on_one_subject_keeps_its_order_and_others_cross() -> None:
    async def main() -> list[bytes]:
        cluster = MemoryCluster(faults=EngineFaults(bus=BusFaults(delay_ms=(0, 200))))
        heard = await listen(cluster.connect("ear"), "s")
        senders = [cluster.connect(name) for name in ("a", "b")]
        for number in range(50):
            for sender in senders:
                await sender.bus.publish("s", f"{sender.process}{number:02}".encode())
            await pass_time(0.001)
        await pass_time(1.0)
        return [message.data for message in heard]

    heard = in_virtual_time(main())
    for name in (b"a", b"b"):
        own = [data for data in heard if data.startswith(name)]
        assert own == sorted(own)
        assert len(own) == 50
    turns = [data for number in range(50) for data in (b"a%02d" % number, b"b%02d" % number)]
    assert heard != turns


def test_messages_are_lost_and_doubled_as_often_as_asked() -> None:
    async def main(faults: BusFaults) -> int:
        cluster = MemoryCluster(faults=EngineFaults(bus=faults))
        heard, sender = await listen(cluster.connect("ear"), "s"), cluster.connect("sender")
        for _ in range(1000):
            await sender.bus.publish("s", b"")
        await pass_time(2.0)
        return len(heard)

    assert 600 < in_virtual_time(main(BusFaults(loss=0.3))) < 800
    assert 1200 < in_virtual_time(main(BusFaults(duplication=0.3))) < 1400
    assert in_virtual_time(main(BusFaults(delay_ms=(1, 1000)))) == 1000


def test_a_partition_is_noticed_later_and_swallows_messages_at_once() -> None:
    async def main() -> tuple[list[bytes], list[tuple[bool, float]]]:
        cluster = MemoryCluster(limits=EngineLimits(notice_ms=2000))
        loop, notices = asyncio.get_running_loop(), list[tuple[bool, float]]()
        ear, sender = cluster.connect("ear"), cluster.connect("sender")
        heard = await listen(ear, "s")
        sender.bus.watch_connection(lambda online: notices.append((online, loop.time())))
        cluster.partition("sender")
        await sender.bus.publish("s", b"swallowed")
        await pass_time(3.0)
        await sender.bus.publish("s", b"kept")
        assert not sender.is_online
        cluster.heal("sender")
        await pass_time(1.0)
        return [message.data for message in heard], notices

    heard, notices = in_virtual_time(main())
    assert heard == [b"kept"]
    assert notices == [(False, 2.0), (True, 3.0)]


def test_what_is_kept_while_disconnected_is_bounded() -> None:
    async def main() -> int:
        cluster = MemoryCluster(limits=EngineLimits(outgoing_bytes=1000))
        heard, sender = await listen(cluster.connect("ear"), "s"), cluster.connect("sender")
        cluster.kill_server()
        for _ in range(50):
            await sender.bus.publish("s", bytes(100))
        cluster.start_server()
        await pass_time(1.0)
        return len(heard)

    assert in_virtual_time(main()) == 10


def test_subscriptions_survive_the_server() -> None:
    async def main() -> list[bytes]:
        cluster = MemoryCluster(limits=EngineLimits(reconnect_ms=(100, 200)))
        heard, sender = await listen(cluster.connect("ear"), "s"), cluster.connect("sender")
        cluster.kill_server()
        await pass_time(5.0)
        cluster.start_server()
        await pass_time(1.0)
        await sender.bus.publish("s", b"again")
        await pass_time(1.0)
        return [message.data for message in heard]

    assert in_virtual_time(main()) == [b"again"]


def test_a_paused_server_delivers_after_its_pause() -> None:
    async def main() -> list[float]:
        cluster, loop = MemoryCluster(), asyncio.get_running_loop()
        times: list[float] = []
        await cluster.connect("ear").bus.subscribe("s", lambda _: times.append(loop.time()))
        sender = cluster.connect("sender")
        cluster.pause_server()
        await sender.bus.publish("s", b"")
        await pass_time(1.5)
        cluster.resume_server()
        await pass_time(1.0)
        return times

    assert in_virtual_time(main()) == [1.5]


def test_a_closed_connection_refuses_and_hears_nothing() -> None:
    async def main() -> None:
        cluster = MemoryCluster()
        engine, other = cluster.connect("a"), cluster.connect("b")
        heard = await listen(engine, "s")
        waiting = asyncio.create_task(engine.bus.request("deaf", b"", timeout_s=60.0))
        await listen(other, "deaf")
        await pass_time(1.0)
        await engine.bus.close()
        await engine.close()
        await other.bus.publish("s", b"")
        with pytest.raises(EngineUnavailable):
            await waiting
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.bus.publish("s", b"")
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.bus.subscribe("s", heard.append)
        await pass_time(1.0)
        assert heard == []

    in_virtual_time(main())


def test_a_message_above_the_limit_of_a_real_server_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(PayloadTooLarge):
            await MemoryCluster().connect("a").bus.publish("s", bytes(1024 * 1024 + 1))

    in_virtual_time(main())


def test_what_was_published_before_a_close_or_a_crash_arrives() -> None:
    async def main() -> list[bytes]:
        cluster = MemoryCluster(faults=EngineFaults(bus=BusFaults(delay_ms=(10, 50))))
        heard = await listen(cluster.connect("ear"), "s")
        closing, crashing = cluster.connect("closing"), cluster.connect("crashing")
        for sender in (closing, crashing):
            await sender.bus.publish("s", sender.process.encode())
        await closing.close()
        cluster.crash("crashing")
        await pass_time(1.0)
        return sorted(message.data for message in heard)

    assert in_virtual_time(main()) == [b"closing", b"crashing"]
