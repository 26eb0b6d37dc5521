"""News as messages: everything once, in order, none larger than a frame."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ohmesh.model.frame import MAX_FRAME_BYTES, encode_frame
from ohmesh.model.message import Accepted, Enquire, Finished, Grants, Refusal, Revoke, Settled
from ohmesh.model.task import Grant, TaskFailure, TaskResult, TaskState
from ohmesh.protocols.queue.step import ClientNews, GrantBatch, HostNews
from ohmesh.roles.step_messages import client_messages, host_messages


@settings(max_examples=25)
@given(st.integers(0, 25_000), st.integers(0, 12_000), st.lists(st.integers(0, 500_000), max_size=8))
def test_all_news_of_a_client_is_told_once_in_frames_that_can_be_sent(
    ids: int, refusals: int, values: list[int]
) -> None:
    news = ClientNews(
        accepted=[f"{number:026}" for number in range(ids)],
        refused=[Refusal(f"{number:026}", "backpressure", "m" * 200, 1_000) for number in range(refusals)],
        finished=[
            TaskResult(f"f{number}", TaskState.SUCCEEDED, b"v" * size) for number, size in enumerate(values)
        ],
    )
    messages = list(client_messages(news))
    assert all(len(encode_frame("d", 1, 1, [message])) <= MAX_FRAME_BYTES for message in messages)
    accepted = [message for message in messages if isinstance(message, Accepted)]
    assert [task_id for message in accepted for task_id in message.task_ids] == news.accepted
    assert [refusal for message in accepted for refusal in message.refused] == news.refused
    finished = [message for message in messages if isinstance(message, Finished)]
    assert [ended for message in finished for ended in message.results] == news.finished


def test_tracebacks_count_in_any_script() -> None:
    failure = TaskFailure("E", "m", "栈" * 50_000)
    news = ClientNews(finished=[TaskResult(f"t{n}", TaskState.DEAD, b"", failure) for n in range(20)])
    frames = [encode_frame("d", 1, 1, [message]) for message in client_messages(news)]
    assert max(map(len, frames)) <= MAX_FRAME_BYTES


def test_a_client_hears_of_the_acceptance_before_the_end() -> None:
    news = ClientNews(accepted=["t"], finished=[TaskResult("t", TaskState.CANCELLED)], unknown=["u"])
    assert [type(message) for message in client_messages(news)] == [Accepted, Finished, Finished]


def test_a_host_hears_of_a_grant_before_its_revocation() -> None:
    batch = GrantBatch(7, [Grant(1, "t", "a", b"", 1, 1)])
    news = HostNews(grants=[batch], settled=[3], revoked=[1], enquire=True)
    assert list(host_messages(news, 0, 5)) == [
        Enquire(0, 5),
        Grants(0, 5, 7, batch.grants),
        Settled(0, 5, [3]),
        Revoke(0, 5, [1]),
    ]


def test_no_news_is_no_message() -> None:
    assert list(client_messages(ClientNews())) == []
    assert list(host_messages(HostNews(), 0, 1)) == []
