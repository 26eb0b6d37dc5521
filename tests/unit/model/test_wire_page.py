"""docs/wire.md says what the code sends."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

from msgspec.inspect import StructType, type_info

from ohmesh.model import fleet_table
from ohmesh.model.agent import Duty, Liveness
from ohmesh.model.fleet_columns import DUTY_CODES, LIVENESS_CODES, Rows
from ohmesh.model.fleet_frame import FleetBody
from ohmesh.model.fleet_message import (
    Activity,
    CircuitAction,
    Expectation,
    MessageHead,
    ReportedConflict,
    Scope,
    Strategy,
    TargetState,
    Timing,
    Verb,
)
from ohmesh.model.history import HistoryReply, ToHistorian
from ohmesh.model.message import Progress, Reply, SendItems, StreamItems, ToClient, ToDispatcher, ToHost
from ohmesh.model.priority import Priority
from ohmesh.model.subject import FleetPart, Subjects
from ohmesh.model.topology import AgentPlace
from ohmesh.model.webhook import AskWebhooks, WebhookPage

PAGE = Path(__file__).resolve().parents[3] / "docs" / "wire.md"
TASKS, FLEET = PAGE.read_text(encoding="utf-8").split("\n# The fleet\n")
PARTS = (MessageHead, Activity, ReportedConflict, Rows)


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
    assert {
        int(tag): name for tag, name in re.findall(r"^\| (\d+) \| (\w+) \|", TASKS, re.MULTILINE)
    } == tags()


def fleet_structs() -> dict[str, StructType]:
    return {struct.__name__: as_struct(struct) for struct in (*get_args(FleetBody), *PARTS)}


def as_struct(struct: type) -> StructType:
    info = type_info(struct)
    assert isinstance(info, StructType)
    return info


def test_every_message_of_the_fleet_stands_there_with_its_tag_and_fields() -> None:
    rows = re.findall(r"^\| (\d*)(?: \| )?([A-Z]\w+) \|(?: \w+ \|)? ([a-z_?, ]+) \|$", FLEET, re.MULTILINE)
    said = {name: (int(tag) if tag else None, fields) for tag, name, fields in rows}
    assert said == {
        name: (struct.tag, ", ".join(field.name + "?" * (not field.required) for field in struct.fields))
        for name, struct in fleet_structs().items()
    }


def test_every_word_of_the_fleet_stands_there_with_its_code() -> None:
    words: dict[str, list[str]] = {}
    codes: dict[str, list[int]] = {}
    for name, cell in re.findall(r"^\| (\w+) \| (`.*) \|$", FLEET, re.MULTILINE):
        words[name] = re.findall(r"`([^`]+)`", cell)
        codes[name] = [int(code) for code in re.findall(r"` (-?\d+)", cell)]
    strings = [Verb, Timing, Strategy, Expectation, CircuitAction, Scope, Liveness, Duty]
    names = ["verb", "timing", "strategy", "expects", "action", "scope", "liveness", "duty"]
    assert {name: words.get(name) for name in names} == {
        name: [word.value for word in choice] for name, choice in zip(names, strings, strict=True)
    }
    for name, known in {"liveness": LIVENESS_CODES, "duty": DUTY_CODES}.items():
        assert codes[name] == list(range(len(known)))
    for name, numbers in {"state": TargetState, "priority": Priority}.items():
        assert dict(zip(words[name], codes[name], strict=True)) == {one.name: one.value for one in numbers}


def test_every_column_stands_there_with_its_type() -> None:
    said = {
        column: f"<{dtype}"
        for columns, dtype in re.findall(r"^\| ([a-z_, ]+) \| ([iuf]\d) \|$", FLEET, re.MULTILINE)
        for column in columns.split(", ")
    }
    found = re.findall(r'from_buffer\(\S+, "(<\w+)", [^"]*"(\w+)"', inspect.getsource(fleet_table))
    assert said == {column: dtype for dtype, column in found}


def test_every_subject_of_the_fleet_stands_there() -> None:
    subjects = Subjects("MESH")
    known = {
        subjects.fleet_process("P"),
        subjects.heard("P"),
        subjects.fleet_door("P"),
        subjects.every_fleet_process(),
        subjects.fleet_questions(),
        subjects.respawns(),
        subjects.fleet_reads(),
        subjects.fleet_changes(),
        subjects.fleet_changes("P"),
        subjects.agent(AgentPlace(1, 2, 3)),
        *(subjects.orchestrator(part) for part in FleetPart),
        *(subjects.sector(1, part) for part in FleetPart),
        *(subjects.cluster(1, 2, part) for part in FleetPart),
    }
    page = FLEET
    for word, value in [
        ("mesh", "MESH"),
        ("process", "P"),
        ("sector", "1"),
        ("cluster", "2"),
        ("agent", "3"),
    ]:
        page = page.replace(f"<{word}>", value)
    rows = re.findall(r"^\| `(mesh\.[^`]+)` \|", page, re.MULTILINE)
    said = {subject.replace("<part>", part) for subject in rows for part in FleetPart}
    assert said == known
    assert all(f"`{part.value}`" in FLEET for part in FleetPart)
