"""What can be selected by: the fields of one kind of thing, with their types and base units."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class FieldType(StrEnum):
    """TEXT str; CHOICE one of the field's values, in lower case; NUMBER int or float; RATIO 1.0 is 100 %;
    DURATION milliseconds; TIME milliseconds since 1970."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    RATIO = "ratio"
    DURATION = "duration"
    TIME = "time"


class Field(Struct, frozen=True, kw_only=True):
    """`choices` of a CHOICE: where `is_ordered`, from the lowest to the highest, and < and > have a meaning.
    `is_repeated`: a row holds a tuple of values."""

    name: str
    type: FieldType
    help: str
    choices: tuple[str, ...] = ()
    is_ordered: bool = False
    is_repeated: bool = False

    @property
    def can_be_compared(self) -> bool:
        """Whether < and > have a meaning."""
        return self.is_ordered or self.type not in (FieldType.TEXT, FieldType.CHOICE)


class Schema(Struct, frozen=True):
    """`noun` names the things in errors, in the plural: tasks, workers."""

    noun: str
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def find(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)
