"""What crosses between a caller's Python and the wire: arguments to bytes, a task's end to a value or an error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ohmesh.errors import (
    Backpressure,
    InvalidArgument,
    InvalidSelector,
    MeshError,
    OhmeshError,
    PayloadTooLarge,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TaskTimedOut,
)
from ohmesh.model.task import TaskResult, TaskState

MAX_DEPTH = 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_decode_arguments = msgspec.msgpack.Decoder(tuple[list[object], dict[str, object]]).decode


def key_of_arguments(payload: bytes) -> str:
    """The unique key of a task that has none of its own: what it is called with, as `encode_arguments` gave it."""
    return f"arguments:{hashlib.blake2b(payload, digest_size=16).hexdigest()}"


def encode_arguments(arguments: Sequence[object], named: Mapping[str, object], limit_bytes: int) -> bytes:
    """MessagePack of [positional, named]. InvalidArgument names the value that cannot travel."""
    try:
        payload = _encode((arguments, named))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _cannot_travel(arguments, named, error) from error
    if len(payload) > limit_bytes:
        raise PayloadTooLarge(
            f"The arguments take {len(payload):,} bytes; a task carries at most {limit_bytes:,}.",
            hint="Store the data where the agent can read it and pass its address.",
        )
    return payload


def encode_items(items: Sequence[object]) -> bytes:
    """The content of an envelope of tasks of which each has one of these as its only argument. InvalidArgument when
    one cannot travel; encode_arguments says which and why."""
    try:
        return _encode([((item,), {}) for item in items])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"One of {len(items)} items cannot travel: {error}") from error


def decode_values(data: bytes) -> list[object]:
    """The values of an envelope."""
    values = decode_value(data) if data else []
    if not isinstance(values, list):
        raise InvalidArgument(f"The {len(data)} bytes are not the values of an envelope.")
    return values


def decode_value(data: bytes) -> object:
    """The value that a handler returned; None where there is none."""
    if not data:
        return None
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"A result of {len(data)} bytes is not MessagePack: {error}.") from error


def decode_arguments(payload: bytes) -> tuple[list[object], dict[str, object]]:
    """What `encode_arguments` made a payload of; none where there is no payload."""
    if not payload:
        return [], {}
    try:
        return _decode_arguments(payload)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"A payload of {len(payload)} bytes holds no arguments: {error}.") from error


def value_of(result: TaskResult) -> object:
    """The decoded value of a task that succeeded; raises the error of one that did not."""
    if result.state is TaskState.SUCCEEDED:
        return decode_value(result.value)
    raise _error_of_end(result)


def error_of_code(code: str, message: str, *, retry_after_ms: int = 0) -> OhmeshError:
    """The error that a refusal or a problem names by its code; MeshError for a code that is not known here."""
    if code == Backpressure.code:
        return Backpressure(message, retry_after_ms=retry_after_ms)
    known = _BY_CODE.get(code)
    return known(message) if known else MeshError(f"{message} (code {code})")


def _error_of_end(result: TaskResult) -> TaskError:
    failure = result.failure
    reason = f"{failure.kind}: {failure.message}" if failure else "no reason was given"
    attempts = f"{result.attempts} attempt{'' if result.attempts == 1 else 's'}"
    about, traceback = f"Task {result.task_id}", failure.traceback if failure else ""
    if result.state is TaskState.CANCELLED:
        return TaskCancelled(f"{about} was cancelled.", task_id=result.task_id)
    if result.state is TaskState.TIMED_OUT:
        message = f"{about} ran past its timeout ({attempts}): {reason}"
        return TaskTimedOut(message, task_id=result.task_id, traceback=traceback)
    return TaskFailed(f"{about} failed ({attempts}): {reason}", task_id=result.task_id, traceback=traceback)


def _cannot_travel(
    arguments: Sequence[object], named: Mapping[str, object], error: Exception
) -> InvalidArgument:
    """Find the culprit by encoding the arguments one by one; only an error pays for this."""
    for place, value in [(str(index), value) for index, value in enumerate(arguments)] + list(named.items()):
        try:
            _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            culprit, path = next(_culprits(value, MAX_DEPTH), (value, ""))
            return InvalidArgument(
                f"Argument {place}{path} is a {type(culprit).__qualname__}, which cannot travel: {error}.",
                hint="Pass None, booleans, numbers, text, bytes, lists, dicts, dataclasses or dates.",
            )
    return InvalidArgument(f"The arguments cannot travel: {error}.", hint="Names of arguments must be text.")


def _culprits(value: object, depth: int) -> Iterator[tuple[object, str]]:
    """The innermost values that cannot be encoded, with their path."""
    inner: list[tuple[str, object]] = []
    if depth and isinstance(value, Mapping):
        inner = [(f"[{key!r}]", item) for key, item in value.items()]
    elif depth and isinstance(value, list | tuple):
        inner = [(f"[{index}]", item) for index, item in enumerate(value)]
    for place, item in inner:
        try:
            _encode(item)
        except (TypeError, ValueError, OverflowError, RecursionError):
            for culprit, path in _culprits(item, depth - 1):
                yield culprit, place + path
            return
    yield value, ""


def _codes(root: type[OhmeshError]) -> Iterator[tuple[str, type[OhmeshError]]]:
    for error in root.__subclasses__():
        takes_a_message = error.__init__ is OhmeshError.__init__ or issubclass(
            error, TaskError | InvalidSelector
        )
        if takes_a_message and error.__module__ == OhmeshError.__module__:
            yield error.code, error
        yield from _codes(error)


_BY_CODE = dict(_codes(OhmeshError))
