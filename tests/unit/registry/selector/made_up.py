"""A fleet that does not exist, with a field of every type."""

from __future__ import annotations

from ohmesh.registry.selector import Field, FieldType, Schema
from ohmesh.registry.selector.evaluation import Row

FLEET = Schema(
    "agents",
    (
        Field(name="class", type=FieldType.TEXT, help="What it is."),
        Field(name="name", type=FieldType.TEXT, help="Its name."),
        Field(name="tags", type=FieldType.TEXT, help="Its tags.", is_repeated=True),
        Field(
            name="state", type=FieldType.CHOICE, help="How it is.", choices=("active", "quarantined", "gone")
        ),
        Field(
            name="grade",
            type=FieldType.CHOICE,
            help="Its grade.",
            choices=("low", "normal", "high"),
            is_ordered=True,
        ),
        Field(name="sector", type=FieldType.NUMBER, help="Where it is."),
        Field(name="load", type=FieldType.RATIO, help="How busy it is."),
        Field(name="impedance", type=FieldType.DURATION, help="How slow it is."),
        Field(name="seen", type=FieldType.TIME, help="When it was heard of."),
    ),
)

ROW: Row = {
    "class": "gpu",
    "name": "vm-17",
    "tags": ("fast", "eu-1"),
    "state": "active",
    "grade": "normal",
    "sector": 3,
    "load": 0.85,
    "impedance": 450,
    "seen": 1_767_225_600_000,  # 2026-01-01
}
