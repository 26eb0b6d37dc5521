"""What is sent to a webhook, against the examples of the specification and by other code."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.event import Event
from ohmesh.policies.standard_webhook import (
    SECRET_BITS,
    cloud_event,
    format_secret,
    message_id,
    secret_key,
    signed_headers,
)

EVENT = Event(
    "1:7:2", "io.ohmesh.task.dead.v1", 1_795_721_639_238, "TASK", 1, "text", {"attempt": 3}, "0-1,1-7.2"
)


def test_the_signature_is_that_of_the_published_example() -> None:
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_secret_signs() -> None:
    secrets = [format_secret(int.from_bytes(os.urandom(SECRET_BITS // 8), "big")) for _ in range(2)]
    both = signed_headers("id", 1, b"{}", secrets)["webhook-signature"].split()
    assert both == [signed_headers("id", 1, b"{}", [one])["webhook-signature"] for one in secrets]


def test_an_event_is_a_cloud_event_without_empty_attributes() -> None:
    assert json.loads(cloud_event(EVENT, "default")) == {
        "specversion": "1.0",
        "id": "1:7:2",
        "source": "/ohmesh/default",
        "type": "io.ohmesh.task.dead.v1",
        "time": "2026-11-26T19:33:59.238+00:00",
        "subject": "TASK",
        "datacontenttype": "application/json",
        "shard": 1,
        "kind": "text",
        "cursor": "0-1,1-7.2",
        "data": {"attempt": 3},
    }
    bare = json.loads(cloud_event(Event("1:7:2", "t", 0, "", 0), "default"))
    assert not {"subject", "kind", "cursor"} & set(bare)
    assert bare["data"] == {}


def test_the_id_of_a_message_holds_no_dot() -> None:
    assert message_id("wh_a", EVENT) == "wh_a_1-7-2"


@pytest.mark.parametrize(
    "secret", ["", "whsec_####", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJD" * 30]
)
def test_a_secret_of_another_form_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        secret_key(secret)
    assert not secret or secret not in str(refused.value)


def test_a_secret_is_the_base64_of_its_key() -> None:
    key = bytes(range(32))
    assert secret_key(format_secret(int.from_bytes(key, "big"))) == key
    assert secret_key(f" whsec_{base64.b64encode(key).decode()}\n") == key


def test_the_receiver_of_the_documentation_takes_what_is_signed_and_nothing_else() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    receiver: dict[str, Any] = {}
    exec(code, receiver)
    body = cloud_event(EVENT, "default")
    headers = signed_headers("id", int(time.time()), body, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    assert receiver["event_of"](headers, body)["id"] == EVENT.id
    for wrong in (
        (headers, body + b" "),
        ({**headers, "webhook-timestamp": "1"}, body),
        (signed_headers("id", 1, body, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]), body),
    ):
        with pytest.raises(PermissionError):
            receiver["event_of"](*wrong)
