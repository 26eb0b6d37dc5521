"""Parameters: the fields of an arguments Struct as a door sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from ohmesh.errors import InvalidArgument

_MISSING = "Object missing required field "
_UNITS = {"_ms": "MILLISECONDS", "_s": "SECONDS", "_bytes": "BYTES"}

Arguments = TypeVar("Arguments", bound=Struct)


class Form(StrEnum):
    """What one value of a parameter is. VALUE is JSON where it parses, else text; PAIR is name=VALUE."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    VALUE = "value"
    PAIR = "pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`name` is the field's. `default` means nothing where `required`. On the command line `short` is another word for
    its option, and `typed` is that option where it is not the name."""

    name: str
    form: Form
    help: str
    required: bool = False
    default: object = None
    positional: bool = False
    repeated: bool = False
    choices: tuple[str, ...] = ()
    short: str = ""
    typed: str = ""

    @property
    def option(self) -> str:
        """`timeout_s` is `--timeout`; what may be repeated is named in the singular: `requires` stays."""
        return self.typed or "--" + self._bare_name().replace("_", "-")

    @property
    def metavar(self) -> str:
        """What stands for its value in help: the unit of a measure, NAME=VALUE of a pair, else its name."""
        for ending, unit in _UNITS.items():
            if self.name.endswith(ending):
                return unit
        if self.form is Form.PAIR:
            return "NAME=VALUE"
        singular = self.name.removesuffix("s") if self.repeated else self.name
        return singular.upper()

    def _bare_name(self) -> str:
        for ending in _UNITS:
            if self.name.endswith(ending):
                return self.name.removesuffix(ending)
        return self.name


def parameters_of(arguments_type: type[Struct]) -> tuple[Parameter, ...]:
    """Positional ones first, otherwise in the order of the Struct."""
    described = shapes.type_info(arguments_type)
    assert isinstance(described, shapes.StructType)
    parameters = [_parameter(field) for field in described.fields]
    return tuple(sorted(parameters, key=lambda parameter: not parameter.positional))


def parse_arguments(
    arguments_type: type[Arguments], values: Mapping[str, object], *, strict: bool = False
) -> Arguments:
    """Build and check; values may be strings unless `strict`. InvalidArgument names the parameter that does not fit.

    Names of priorities and states are checked where they are used, which knows their aliases.
    """
    known = arguments_type.__struct_fields__
    for name in values:
        if name not in known:
            raise InvalidArgument(
                f"{name!r} is not a parameter.", hint=f"There are: {', '.join(known) or 'none'}."
            )
    try:
        return msgspec.convert(values, arguments_type, strict=strict)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: msgspec.ValidationError) -> InvalidArgument:
    """msgspec says "Expected `int`, got `str` - at `$.retries`"; people read "retries: expected int, got str"."""
    reason, _, place = str(error).replace("`", "").partition(" - at $")
    if reason.startswith(_MISSING):
        return InvalidArgument(
            f"{'.'.join(filter(None, (place.lstrip('.'), reason.removeprefix(_MISSING))))}: it is missing."
        )
    if not place:
        return InvalidArgument(f"{reason}.")
    return InvalidArgument(f"{place.lstrip('.')}: {reason[0].lower()}{reason[1:]}.")


def _parameter(field: shapes.Field) -> Parameter:
    described, extra, schema = _unwrapped(field.type)
    repeated = isinstance(described, shapes.ListType | shapes.DictType)
    return Parameter(
        name=field.name,
        form=_form(described),
        help=schema.get("description", ""),
        required=field.required,
        default=_default(field),
        positional=bool(extra.get("positional", False)),
        repeated=repeated,
        choices=tuple(choice for choice in schema.get("enum", ()) if choice),
        short=str(extra.get("short", "")),
        typed=str(extra.get("option", "")),
    )


def _unwrapped(described: shapes.Type) -> tuple[shapes.Type, dict[str, object], dict[str, Any]]:
    """The bare type, with what Meta says of it for us (extra) and for a JSON schema."""
    extra: dict[str, object] = {}
    schema: dict[str, Any] = {}
    while isinstance(described, shapes.Metadata):
        extra |= described.extra or {}
        schema = (described.extra_json_schema or {}) | schema
        described = described.type
    return described, extra, schema


def _default(field: shapes.Field) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _form(described: shapes.Type) -> Form:
    if isinstance(described, shapes.DictType):
        return Form.PAIR
    if isinstance(described, shapes.ListType):
        return _form(_unwrapped(described.item_type)[0])
    if isinstance(described, shapes.BoolType):
        return Form.FLAG
    if isinstance(described, shapes.IntType):
        return Form.INTEGER
    if isinstance(described, shapes.FloatType):
        return Form.NUMBER
    return Form.TEXT if isinstance(described, shapes.StrType) else Form.VALUE
