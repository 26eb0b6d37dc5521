"""Webhooks from a mesh in memory to a real receiver: told in order, again, signed, refused, paused, resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ohmesh.assembly.system import SystemClock, SystemEntropy
from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.engines.web.sender import WebSender
from ohmesh.errors import InvalidArgument, UnknownWebhook
from ohmesh.mesh import AsyncMesh
from ohmesh.model.webhook import WebhookState
from ohmesh.roles.webhook_config import WebhookConfig, WebhookPorts
from ohmesh.roles.webhooks import PAUSED_BY_HAND, Webhooks
from tests.receiver import TAKEN, Answer, Received, Receiver, receiver
from tests.unit.mesh_in_memory import SUBJECTS, end, mesh_in_memory
from tests.waiting import answered, eventually

DEADLINE_S = 60.0
QUICK = WebhookConfig(retry_ms=5, retry_max_ms=20, save_ms=10, timeout_ms=2_000)
GIVES_UP_AT_ONCE = WebhookConfig(retry_ms=5, save_ms=10, give_up_ms=50)


class Place:
    """A mesh, a receiver, and the role that may be ended and begun anew."""

    def __init__(
        self, mesh: AsyncMesh, cluster: MemoryCluster, told: Receiver, config: WebhookConfig
    ) -> None:
        self.mesh = mesh
        self.told = told
        self._cluster = cluster
        self._config = config
        self._web = WebSender()
        self._role: asyncio.Task[None] | None = None

    def begin(self) -> None:
        engine = self._cluster.connect("node")
        ports = WebhookPorts(
            engine.bus, engine.log, engine.blobs, engine.state, SystemClock(), SystemEntropy(), self._web
        )
        webhooks = Webhooks(ports, subjects=SUBJECTS, shards=2, config=self._config)
        self._role = asyncio.ensure_future(webhooks.run(1))

    async def end(self) -> None:
        assert self._role is not None
        assert not self._role.done(), self._role
        await end(self._role)

    async def close(self) -> None:
        await self.end()
        await self._web.close()

    async def done(self, count: int, kind: str = "echo") -> list[str]:
        """So many tasks, one after the other, to their ends; their ids."""
        handles = []
        for _ in range(count):
            handles.append(await self.mesh.submit(kind))
            await handles[-1].end()
        return [handle.id for handle in handles]

    async def is_told(self, subjects: list[str], type: str = "task.succeeded") -> None:  # noqa: A002
        def told() -> bool:
            events = [one.event for one in self.told.received]
            return {one["subject"] for one in events if type in one["type"]} >= set(subjects)

        await eventually(told, what=f"{type} of {len(subjects)} tasks told, of {self.told.types()}")


def told(story: Callable[[Place], Awaitable[None]], config: WebhookConfig = QUICK) -> None:
    async def main(receiving: Receiver) -> None:
        cluster = MemoryCluster()
        async with asyncio.timeout(DEADLINE_S), mesh_in_memory(cluster=cluster) as client:
            place = Place(AsyncMesh(client), cluster, receiving, config)
            place.begin()
            await story(place)
            await place.close()

    with receiver() as receiving:
        asyncio.run(main(receiving))


def test_events_are_told_in_order_signed_and_as_cloud_events() -> None:
    async def story(place: Place) -> None:
        made = await place.mesh.add_webhook(place.told.url, types=["task.*"], allow_private=True)
        (task_id,) = await place.done(1)
        await place.is_told([task_id])
        assert place.told.types() == ["task.submitted", "task.started", "task.succeeded"]
        assert all(one.is_signed_by(made.secret) for one in place.told.received)
        assert not place.told.received[0].is_signed_by("whsec_" + "A" * 44)
        last = place.told.received[-1]
        assert last.headers["content-type"] == "application/cloudevents+json"
        assert {name: last.event[name] for name in ("specversion", "source", "type", "subject", "kind")} == {
            "specversion": "1.0",
            "source": "/ohmesh/memory",
            "type": "io.ohmesh.task.succeeded.v1",
            "subject": task_id,
            "kind": "echo",
        }
        assert made.secret not in repr(await place.mesh.webhooks())

    told(story)


def test_a_receiver_that_fails_is_asked_again_with_the_same_id_and_nothing_overtakes() -> None:
    async def story(place: Place) -> None:
        answers = [(500, {}), (429, {"retry-after": "0"}), (302, {"location": place.told.url})]
        place.told.answer = lambda _received: answers.pop() if answers else TAKEN
        made = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        ids = await place.done(3)
        await place.is_told(ids)
        subjects = [one.event["subject"] for one in place.told.received]
        assert subjects == [ids[0]] * 4 + ids[1:]
        assert len({one.id for one in place.told.received}) == 3
        await eventually_shown(place, made.webhook.id, WebhookState.ACTIVE)

    told(story)


def test_a_successor_goes_on_where_the_role_was() -> None:
    async def story(place: Place) -> None:
        made = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        first = await place.done(2)
        await place.is_told(first)
        await answers_heard(place, made.webhook.id, 2)  # what is under way when a role ends is told again
        await place.end()
        meanwhile = await place.done(2)
        place.begin()
        await place.is_told(meanwhile)
        assert [one.event["subject"] for one in place.told.received] == first + meanwhile

    told(story)


def test_what_happens_while_a_webhook_is_paused_is_told_afterwards() -> None:
    async def story(place: Place) -> None:
        made = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        paused = await place.mesh.pause_webhook(made.webhook.id)
        assert (paused.state, paused.reason) == (WebhookState.PAUSED, PAUSED_BY_HAND)
        ids = await place.done(2)
        await place.end()
        place.begin()
        assert (await place.mesh.webhook(made.webhook.id)).state is WebhookState.PAUSED
        assert (await place.mesh.test_webhook(made.webhook.id)).status == 204
        assert place.told.types() == ["webhook.test"]
        await place.mesh.resume_webhook(made.webhook.id)
        await place.is_told(ids)

    told(story)


def test_one_that_fails_for_long_is_paused_with_the_reason_and_resumes_where_it_was() -> None:
    async def story(place: Place) -> None:
        place.told.answer = lambda _received: (503, {})
        made = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        ids = await place.done(1)
        await eventually_shown(place, made.webhook.id, WebhookState.PAUSED)
        assert "503" in (await place.mesh.webhook(made.webhook.id)).reason
        place.told.answer = lambda _received: TAKEN
        before = len(place.told.received)
        await place.mesh.resume_webhook(made.webhook.id)
        await eventually(lambda: len(place.told.received) > before, what="it is told again")
        assert place.told.received[-1].event["subject"] == ids[0]

    told(story, GIVES_UP_AT_ONCE)


def test_one_that_is_gone_for_good_is_paused_at_once() -> None:
    async def story(place: Place) -> None:
        place.told.answer = lambda _received: (410, {})
        made = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        await place.done(1)
        await eventually_shown(place, made.webhook.id, WebhookState.PAUSED)
        assert len(place.told.received) == 1

    told(story)


def test_after_a_rotation_both_secrets_sign() -> None:
    async def story(place: Place) -> None:
        made = await place.mesh.add_webhook(place.told.url, allow_private=True)
        rotated = await place.mesh.rotate_webhook(made.webhook.id)
        await place.mesh.test_webhook(made.webhook.id)
        last = place.told.received[-1]
        assert last.is_signed_by(made.secret)
        assert last.is_signed_by(rotated.secret)
        given = "whsec_" + "QUJD" * 10
        assert (await place.mesh.rotate_webhook(made.webhook.id, secret=given)).secret == ""
        await place.mesh.test_webhook(made.webhook.id)
        assert place.told.received[-1].is_signed_by(given)
        assert not place.told.received[-1].is_signed_by(made.secret)

    told(story)


def test_this_machine_is_refused_unless_it_is_meant() -> None:
    async def story(place: Place) -> None:
        for url in (place.told.url, place.told.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(InvalidArgument, match="allow-private"):
                await place.mesh.add_webhook(url)
        assert place.told.received == []

    told(story)


@pytest.mark.parametrize(
    "given",
    [
        {"address": "ftp://example.org/x"},
        {"address": "http://user:password@example.org/"},
        {"address": "http://"},
        {"secret": "not-a-secret"},
        {"secret": "whsec_c2hvcnQ="},
        {"filter": "nothing=1"},
        {"types": ["task.* or"]},
    ],
)
def test_what_cannot_be_told_is_refused_and_no_secret_is_repeated(given: dict[str, object]) -> None:
    async def story(place: Place) -> None:
        usual: dict[str, object] = {"address": place.told.url, "allow_private": True}
        with pytest.raises(InvalidArgument) as refused:
            await place.mesh.add_webhook(**(usual | given))  # type: ignore[arg-type]  # one call for all of them
        assert "not-a-secret" not in str(refused.value)
        assert list(await place.mesh.webhooks()) == []

    told(story)


def test_a_removed_webhook_is_told_nothing_and_unknown() -> None:
    async def story(place: Place) -> None:
        made = await place.mesh.add_webhook(place.told.url, allow_private=True)
        await place.mesh.remove_webhook(made.webhook.id)
        with pytest.raises(UnknownWebhook):
            await place.mesh.webhook(made.webhook.id)
        await place.end()
        place.begin()
        assert list(await place.mesh.webhooks()) == []

    told(story)


def test_a_receiver_that_hangs_holds_up_no_other() -> None:
    async def story(place: Place) -> None:
        hanging = asyncio.get_running_loop().create_future()

        def answer(received: Received) -> Answer:
            if received.id.startswith(slow.webhook.id):
                asyncio.run_coroutine_threadsafe(
                    asyncio.wait_for(asyncio.shield(hanging), DEADLINE_S), loop
                ).result()
            return TAKEN

        loop = asyncio.get_running_loop()
        slow = await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        place.told.answer = answer
        await place.mesh.add_webhook(place.told.url, types=["task.succeeded"], allow_private=True)
        ids = await place.done(3)
        await place.is_told(ids)
        hanging.set_result(None)

    told(story)


async def answers_heard(place: Place, webhook_id: str, count: int) -> None:
    async def is_so() -> bool:
        return (await place.mesh.webhook(webhook_id)).delivered == count

    await answered(is_so, what=f"{count} deliveries whose answer was heard")


async def eventually_shown(place: Place, webhook_id: str, state: WebhookState) -> None:
    async def is_so() -> bool:
        return (await place.mesh.webhook(webhook_id)).state is state

    await answered(is_so, what=f"webhook {webhook_id} {state}")
