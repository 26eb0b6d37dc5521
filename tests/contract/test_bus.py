"""The port Bus, as its docstrings promise it."""

from __future__ import annotations

import asyncio
import os

import pytest

from ohmesh.errors import EngineUnavailable, InvalidArgument
from ohmesh.ports.bus import SUBJECT_LENGTH_MAX, Bus, Message
from tests.contract.conftest import MakeEngine, OnEngine
from tests.waiting import eventually


class Ear:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def __call__(self, message: Message) -> None:
        self.heard.append(message)

    @property
    def data(self) -> list[bytes]:
        return [message.data for message in self.heard]


async def last_word(bus: Bus, *subjects: str) -> None:
    """Published after all the rest: who has heard it has heard what came before."""
    for subject in subjects:
        await bus.publish(subject, b"last")


def test_messages_of_one_publisher_are_heard_in_order_by_every_subscriber(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        speaker, near, far = await make(), Ear(), Ear()
        await speaker.bus.subscribe("talk", near)
        await (await make()).bus.subscribe("talk", far)
        said = [b"%d" % number for number in range(2_000)]
        for data in said:
            await speaker.bus.publish("talk", data)
        await eventually(lambda: min(len(near.heard), len(far.heard)) >= len(said), what="all is heard")
        for ear in (near, far):
            assert ear.data == said
            assert {message.subject for message in ear.heard} == {"talk"}

    on_engine(scenario)


def test_a_star_stands_for_one_word_and_an_angle_for_all_that_follow(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        bus = (await make()).bus
        ears = {pattern: Ear() for pattern in ("r.a.b.c", "r.a.*.c", "r.a.*", "r.a.>", "r.*.*.*", "r.>")}
        for pattern, ear in ears.items():
            await bus.subscribe(pattern, ear)
        said = ["r.a.b.c", "r.a.x.c", "r.a.b", "r.a.b.c.d", "r.b.b.c", "r.a", "r", "r.a.b.c.last"]
        for subject in said:
            await bus.publish(subject, subject.encode())
        last = [ears["r.>"], ears["r.a.>"]]
        await eventually(lambda: all(b"r.a.b.c.last" in ear.data for ear in last), what="the last word")
        heard = {pattern: [data.decode() for data in ear.data] for pattern, ear in ears.items()}
        assert heard == {
            "r.a.b.c": ["r.a.b.c"],
            "r.a.*.c": ["r.a.b.c", "r.a.x.c"],
            "r.a.*": ["r.a.b"],
            "r.a.>": ["r.a.b.c", "r.a.x.c", "r.a.b", "r.a.b.c.d", "r.a.b.c.last"],
            "r.*.*.*": ["r.a.b.c", "r.a.x.c", "r.b.b.c"],
            "r.>": [subject for subject in said if subject != "r"],
        }

    on_engine(scenario)


def test_of_a_group_one_member_hears_each_message_and_those_outside_hear_all(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        speaker = await make()
        members, outside = [Ear(), Ear(), Ear()], Ear()
        for member in members:
            await (await make()).bus.subscribe("work", member, group="workers")
        await speaker.bus.subscribe("work", outside)
        said = [b"%d" % number for number in range(300)]
        for data in said:
            await speaker.bus.publish("work", data)
        await eventually(lambda: sum(len(m.heard) for m in members) >= len(said), what="the group hears all")
        await eventually(lambda: len(outside.heard) >= len(said), what="the one outside hears all")
        assert sorted(data for member in members for data in member.data) == sorted(said)
        assert outside.data == said

    on_engine(scenario)


def test_a_request_is_answered_by_who_listens(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        asker, server = await make(), await make()
        answering: set[asyncio.Task[None]] = set()

        def answer(message: Message) -> None:
            task = asyncio.ensure_future(server.bus.publish(message.reply, b"re: " + message.data))
            answering.add(task)
            task.add_done_callback(answering.discard)

        await server.bus.subscribe("ask", answer)
        answers = await asyncio.gather(
            *(asker.bus.request("ask", b"%d" % number, timeout_s=10) for number in range(200))
        )
        assert answers == [b"re: %d" % number for number in range(200)]

    on_engine(scenario)


def test_a_request_that_nobody_hears_fails_at_once(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine = await make()
        async with asyncio.timeout(10):
            with pytest.raises(EngineUnavailable):
                await engine.bus.request("nobody", b"?", timeout_s=3_600)

    on_engine(scenario)


def test_a_request_that_is_heard_and_not_answered_fails_after_its_time(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine, ear = await make(), Ear()
        await engine.bus.subscribe("silent", ear)
        with pytest.raises(EngineUnavailable):
            await engine.bus.request("silent", b"?", timeout_s=0.2)
        assert ear.data == [b"?"]

    on_engine(scenario)


def test_after_unsubscribing_nothing_is_heard(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine, gone, still = await make(), Ear(), Ear()
        subscription = await engine.bus.subscribe("topic", gone)
        await engine.bus.subscribe("topic", still)
        await engine.bus.publish("topic", b"before")
        await eventually(lambda: gone.data == [b"before"], what="heard before")
        await subscription.unsubscribe()
        await last_word(engine.bus, "topic")
        await eventually(lambda: still.data == [b"before", b"last"], what="the other hears on")
        assert gone.data == [b"before"]

    on_engine(scenario)


def test_a_frame_of_nine_hundred_kilobytes_passes(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        speaker, ear = await make(), Ear()
        await (await make()).bus.subscribe("frames", ear)
        frames = [os.urandom(900_000) for _ in range(20)]
        for frame in frames:
            await speaker.bus.publish("frames", frame)
        await eventually(lambda: len(ear.heard) == len(frames), what="all frames are heard")
        assert ear.data == frames

    on_engine(scenario)


def test_closing_sends_what_was_published_before(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        speaker, ear = await make(), Ear()
        await (await make()).bus.subscribe("farewell", ear)
        frames = [b"%d " % number + bytes(50_000) for number in range(100)]
        for frame in frames:
            await speaker.bus.publish("farewell", frame)
        await speaker.close()
        await eventually(lambda: len(ear.heard) == len(frames), what="all is heard after the close")
        assert ear.data == frames

    on_engine(scenario)


def test_a_closed_bus_refuses_and_can_be_closed_again(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine = await make()
        await engine.bus.close()
        await engine.bus.close()
        with pytest.raises(EngineUnavailable):
            await engine.bus.publish("any", b"x")
        with pytest.raises(EngineUnavailable):
            await engine.bus.request("any", b"x", timeout_s=1)

    on_engine(scenario)


def test_a_wildcard_a_space_or_a_subject_without_end_cannot_be_published_to(on_engine: OnEngine) -> None:
    async def scenario(make: MakeEngine) -> None:
        engine = await make()
        for subject in ("a.*", "a.>", "a b", "", "a" * (SUBJECT_LENGTH_MAX + 1)):
            with pytest.raises(InvalidArgument):
                await engine.bus.publish(subject, b"x")
        await engine.bus.publish("a" * SUBJECT_LENGTH_MAX, b"x")

    on_engine(scenario)
