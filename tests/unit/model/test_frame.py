"""Frames: what is written is read again, what is not ours is refused, and later writers are understood."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmesh.errors import InvalidArgument
from ohmesh.model import message as m
from ohmesh.model.agent import AgentSpec
from ohmesh.model.frame import (
    FRAME_VERSION,
    decode_reply,
    decode_to_client,
    decode_to_dispatcher,
    decode_to_host,
    encode_frame,
)
from ohmesh.model.task import Grant, Outcome, OutcomeStatus, Submission, TaskFailure, TaskResult, TaskState

TO_DISPATCHER: list[m.ToDispatcher] = [
    m.Submit("client", [Submission("t", "kind", b"payload", requires=("gpu",))]),
    m.Watch("client", ["t"]),
    m.Cancel("client", ["t"]),
    m.HostReport("host", 1, 2, 3, [AgentSpec("host/a", "kind")], [4, 5]),
    m.Outcomes("host", 1, [Outcome(4, "t", OutcomeStatus.FAILED, failure=TaskFailure("E", "m"))], [("a", 2)]),
    m.ListTasks(kind="kind"),
    m.ListHosts(),
    m.Describe(),
]
TO_HOST: list[m.ToHost] = [
    m.Grants(0, 1, 2, [Grant(4, "t", "a", b"payload", 1, 30_000)]),
    m.Settled(0, 1, [4]),
    m.Revoke(0, 1, [4]),
    m.Enquire(0, 1),
]
TO_CLIENT: list[m.ToClient] = [
    m.Accepted(["t"], [m.Refusal("u", "backpressure", "full", 1_000)]),
    m.Finished([TaskResult("t", TaskState.SUCCEEDED, b"value")], ["u"]),
    m.CancelAnswer(["t"], ["u"], ["v"]),
]
REPLIES: list[m.Reply] = [
    m.TaskPage([], "7", 3),
    m.HostPage([]),
    m.ShardDescription(0, 1, "owner", 2, {"kind": (1, 2, 3)}, {"dead": 1}, 1),
    m.Problem("usage", "no"),
]


def test_a_frame_of_any_messages_is_read_as_it_was_written() -> None:
    assert decode_to_dispatcher(encode_frame("me", 1, 2, TO_DISPATCHER)).bodies == TO_DISPATCHER
    assert decode_to_host(encode_frame("me", 1, 2, TO_HOST)).bodies == TO_HOST
    assert decode_to_client(encode_frame("me", 1, 2, TO_CLIENT)).bodies == TO_CLIENT
    frame = decode_reply(encode_frame("me", 7, 8, REPLIES))
    assert (frame.bodies, frame.sender, frame.term, frame.stamp) == (REPLIES, "me", 7, 8)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_frame_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for decode in (decode_to_dispatcher, decode_to_host, decode_to_client, decode_reply):
        with pytest.raises(InvalidArgument):
            decode(data)


def test_a_frame_of_another_version_is_refused_by_name() -> None:
    data = msgspec.msgpack.encode([FRAME_VERSION + 1, "me", 1, 2, []])
    with pytest.raises(InvalidArgument, match=f"version {FRAME_VERSION + 1}"):
        decode_to_host(data)


def test_a_message_in_the_wrong_direction_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        decode_to_client(encode_frame("me", 1, 2, TO_HOST))


def test_a_message_with_a_field_of_the_future_is_read() -> None:
    data = msgspec.msgpack.encode([FRAME_VERSION, "me", 1, 2, [[32, 0, 1, [4], "later"]]])
    assert decode_to_host(data).bodies == [m.Settled(0, 1, [4])]


def test_a_message_without_its_optional_fields_is_read() -> None:
    data = msgspec.msgpack.encode([FRAME_VERSION, "me", 1, 2, [[11, ["t"]]]])
    assert decode_to_client(data).bodies == [m.Accepted(["t"])]


def test_no_two_messages_share_a_tag() -> None:
    messages = [*TO_DISPATCHER, *TO_HOST, *TO_CLIENT, *REPLIES]
    tags = [each.__struct_config__.tag for each in messages]
    assert len(set(tags)) == len(tags) == 19
