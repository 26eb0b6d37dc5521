"""Arguments as a function's signature and type hints want them.

A payload that does not bind, or a value that does not fit its hint, can never succeed: it is refused for good, with
the name of the parameter in the message. The common case (positional values of plain types) is decided without
`inspect`; everything else takes the slow road through `Signature.bind` and `msgspec.convert` (strict: "3" is no int).
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from types import NoneType, SimpleNamespace, UnionType

import msgspec

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused

Positional = list[typing.Any]
Keyword = dict[str, typing.Any]

_decode_payload = msgspec.msgpack.Decoder(tuple[Positional, Keyword]).decode
_SCALARS = {str, bytes, int, float, bool, NoneType}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """Decodes payloads for one function."""

    def __init__(self, function: Callable[..., object], kind: str) -> None:
        self._kind = kind
        self._signature = inspect.signature(function)
        self._hints = _usable_hints(function, self._signature, kind)
        plain = [one for one in self._signature.parameters.values() if one.kind in _POSITIONAL]
        names = self._signature.parameters.values()
        self._most = len(plain)
        self._least = sum(one.default is one.empty for one in plain)
        if any(one.kind is one.KEYWORD_ONLY and one.default is one.empty for one in names):
            self._least = self._most + 1  # never the fast road
        self._checks = [(one.name, self._hints.get(one.name)) for one in plain]

    def decode(self, payload: bytes) -> tuple[Positional, Keyword]:
        """Positional and keyword arguments ready to call with. Raises ArgumentsRefused."""
        try:
            positional, keyword = _decode_payload(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArgumentsRefused(
                f"The payload of {len(payload)} bytes is not MessagePack of [arguments, keywords]: {error}."
            ) from None
        if keyword or not self._least <= len(positional) <= self._most:
            return self._bind(positional, keyword)
        for place, value in enumerate(positional):
            name, hint = self._checks[place]
            if hint is not None and type(value) is not hint:
                positional[place] = self._convert(name, value, hint)
        return positional, keyword

    def _bind(self, positional: Positional, keyword: Keyword) -> tuple[Positional, Keyword]:
        try:
            bound = self._signature.bind(*positional, **keyword)
        except TypeError as error:
            raise ArgumentsRefused(
                f"The arguments do not fit {self._kind}{self._signature}: {error}.",
                hint="Submit the task with the arguments of that signature.",
            ) from None
        for name, value in bound.arguments.items():
            hint = self._hints.get(name)
            if hint is not None:
                bound.arguments[name] = self._convert_bound(name, value, hint)
        return list(bound.args), bound.kwargs

    def _convert_bound(self, name: str, value: typing.Any, hint: object) -> object:
        shape = self._signature.parameters[name].kind
        if shape is inspect.Parameter.VAR_POSITIONAL:
            return tuple(self._convert(name, one, hint) for one in value)
        if shape is inspect.Parameter.VAR_KEYWORD:
            return {key: self._convert(key, one, hint) for key, one in value.items()}
        return self._convert(name, value, hint)

    def _convert(self, name: str, value: object, hint: typing.Any) -> object:
        try:
            if isinstance(hint, tuple):
                return _one_of(value, hint)
            return msgspec.convert(value, hint)
        except msgspec.ValidationError as error:
            raise ArgumentsRefused(
                f"The argument {name!r} of {self._kind}{self._signature} does not fit: {error}."
            ) from None


def _usable_hints(
    function: Callable[..., object], signature: inspect.Signature, kind: str
) -> dict[str, typing.Any]:
    """Hints of the parameters that msgspec can check; others (object, a union of classes ...) are let through."""
    written = {
        name: one.annotation for name, one in signature.parameters.items() if one.annotation is not one.empty
    }
    holder = SimpleNamespace(__annotations__=written)
    try:
        hints = typing.get_type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise AgentDefinitionError(
            f"A type hint of agent {kind!r} cannot be resolved: {error}.",
            hint="Import the name at run time (not under TYPE_CHECKING only), or drop the hint.",
        ) from error
    return {
        name: _scalars_of(hint) or (list if _takes_any_items(hint) else hint)
        for name, hint in hints.items()
        if _scalars_of(hint) or _is_checkable(hint)
    }


def _takes_any_items(hint: typing.Any) -> bool:
    """A list of whatever there is: its class says all, so that its items need not be looked at one by one."""
    return typing.get_origin(hint) is list and typing.get_args(hint) in ((object,), (typing.Any,))


def _scalars_of(hint: typing.Any) -> tuple[type, ...]:
    """The members of a union of plain types such as `str | bytes`, which msgspec does not take; else nothing."""
    members = typing.get_args(hint)
    is_union = isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union
    return members if is_union and not _is_checkable(hint) and set(members) <= _SCALARS else ()


def _one_of(value: object, types: tuple[type, ...]) -> object:
    if isinstance(value, types):
        return value
    names = " | ".join(one.__name__ for one in types)
    raise msgspec.ValidationError(f"Expected `{names}`, got `{type(value).__name__}`")


def _is_checkable(hint: typing.Any) -> bool:
    if hint is typing.Any or hint is object:
        return False
    try:
        msgspec.msgpack.Decoder(hint)
    except TypeError:
        return False
    return True
