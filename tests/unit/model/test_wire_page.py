"""docs/wire.md says what the code sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from msgspec.inspect import StructType, type_info

from ohmesh.model.history import HistoryReply, ToHistorian
from ohmesh.model.message import Progress, Reply, SendItems, StreamItems, ToClient, ToDispatcher, ToHost
from ohmesh.model.webhook import AskWebhooks, WebhookPage

PAGE = Path(__file__).resolve().parents[3] / "docs" / "wire.md"


def tags() -> dict[int, str]:
    found: dict[int, str] = {}
    for union in (
        ToDispatcher,
        ToClient,
        ToHost,
        Reply,
        ToHistorian,
        HistoryReply,
        Progress,
        StreamItems,
        SendItems,
        AskWebhooks,
        WebhookPage,
    ):
        for struct in get_args(union) or (union,):
            info = type_info(struct)
            assert isinstance(info, StructType)
            assert isinstance(info.tag, int)
            found[info.tag] = struct.__name__
    return found


def test_every_message_stands_in_the_table_with_its_tag() -> None:
    table = re.findall(r"^\| (\d+) \| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(tag): name for tag, name in table} == tags()
