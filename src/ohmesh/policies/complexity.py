"""How heavy a task is, told from its arguments before it is queued: small (weight 1) or large (weight 3).

    text    large above `text_words` words
    image   large when its width or height is above `image_pixels`
    llm     large above `llm_tokens` tokens: those of all text in it, and those it asks for (max_tokens)
    others  small

Which estimator judges a kind is a mapping that the caller holds, so a program has its own for its own kinds. What an
estimator cannot read is refused with the reason: it could only fail later, on an agent.

Tokens are estimated as one for every four bytes of UTF-8, the rule of thumb for the usual byte-pair vocabularies.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from ohmesh.errors import InvalidArgument, OhmeshError
from ohmesh.model.complexity import Complexity
from ohmesh.policies.image_header import image_size

TOKEN_BYTES = 4

Estimator = Callable[..., Complexity]
"""Called with the task's arguments, as its agent will be."""
Estimators = Mapping[str, Estimator]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexityConfig:
    """What is still small. 0 does not judge that kind: an agent of one's own may share its name."""

    text_words: Annotated[int, Meta(ge=0)] = 200
    image_pixels: Annotated[int, Meta(ge=0)] = 1_000
    llm_tokens: Annotated[int, Meta(ge=0)] = 1_000


def built_in_estimators(config: ComplexityConfig) -> dict[str, Estimator]:
    """Those of the built-in kinds, in a mapping of the caller's own."""
    found: dict[str, Estimator] = {}
    if config.text_words:
        found["text"] = lambda *arguments, **named: _of_text(_subject(arguments, named, "text"), config)
    if config.image_pixels:
        found["image"] = lambda *arguments, **named: _of_image(_subject(arguments, named, "image"), config)
    if config.llm_tokens:
        found["llm"] = lambda *arguments, **named: _of_prompt([*arguments, *named.values()], named, config)
    return found


def complexity_of_task(
    kind: str, arguments: Sequence[object], named: Mapping[str, object], estimators: Estimators
) -> Complexity:
    """The tag of one task. InvalidArgument when its estimator cannot read the arguments, or is itself wrong."""
    estimate = estimators.get(kind)
    if estimate is None:
        return Complexity.SMALL
    try:
        return Complexity(estimate(*arguments, **named))
    except OhmeshError:
        raise
    except Exception as error:  # an estimator is the caller's code
        raise InvalidArgument(
            f"The estimator of kind {kind!r} raised {type(error).__name__}: {error}.",
            hint="It is called with the task's arguments and returns Complexity.SMALL or Complexity.LARGE.",
        ) from error


def _of_text(text: object, config: ComplexityConfig) -> Complexity:
    if isinstance(text, bytes | bytearray | memoryview):
        try:
            text = bytes(text).decode()
        except UnicodeDecodeError as error:
            raise InvalidArgument(f"The text is not UTF-8: {error}.", hint="Send it as text.") from None
    if (
        not isinstance(text, str) or len(text) <= 2 * config.text_words
    ):  # a word and what parts it from the next
        return Complexity.SMALL
    return _large_if(len(text.split(None, config.text_words)) > config.text_words)


def _of_image(image: object, config: ComplexityConfig) -> Complexity:
    if isinstance(image, str):
        try:
            image = binascii.a2b_base64(image, strict_mode=True)
        except ValueError as error:
            raise InvalidArgument(
                f"The image cannot be decoded: as text it must be base64, and is not: {error}.",
                hint="Encode the file's bytes; for an agent of your own, set client.complexity.image_pixels = 0.",
            ) from None
    if not isinstance(image, bytes | bytearray | memoryview):
        return Complexity.SMALL  # its agent says what it takes
    return _large_if(max(image_size(bytes(image))) > config.image_pixels)


def _of_prompt(values: Sequence[object], named: Mapping[str, object], config: ComplexityConfig) -> Complexity:
    wanted = named.get("max_tokens", 0)
    tokens = wanted if isinstance(wanted, int) else 0
    tokens += -(-_text_bytes(values) // TOKEN_BYTES)
    return _large_if(tokens > config.llm_tokens)


def _text_bytes(values: Sequence[object]) -> int:
    """Of all text within, at any depth; a task's arguments are a tree, since they could be encoded."""
    total, waiting = 0, list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes | bytearray | memoryview):
            total += len(value)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return total


def _subject(arguments: Sequence[object], named: Mapping[str, object], name: str) -> object:
    return arguments[0] if arguments else named.get(name)


def _large_if(condition: bool) -> Complexity:
    return Complexity.LARGE if condition else Complexity.SMALL
