"""The kind `text`: the sentiment of a text, or its embedding.

By VADER's lexicon (sentiment of English only), or by a model of the Transformers library in a directory of this
machine, which whoever runs the worker names. A model is loaded before the first task, once for each runner process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from ohmesh.errors import ArgumentsRefused
from ohmesh.handlers.declaration import Declaration
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.handlers.lexicon import Lexicon
from ohmesh.handlers.model_directory import checked_directory

Operation = Literal["sentiment", "embedding"]

# The rules of the lexicon compare words in pairs, so time grows with the square of the length; models read less anyway.
_CHARACTERS_MAX = 10_000


class Embedding(msgspec.Struct, frozen=True):
    embedding: list[float]
    dimensions: int


class Reader(Protocol):
    """What reads texts. Both refuse with ArgumentsRefused what they cannot do."""

    @property
    def operations(self) -> Sequence[str]: ...

    def sentiment(self, text: str) -> msgspec.Struct:
        """Has a `label` and a `score`."""
        ...

    def embedding(self, text: str) -> list[float]: ...


def text_handler(model: str = "") -> FunctionHandler:
    """The handler of kind `text`, by the model in that directory. AgentDefinitionError says why it cannot be used."""
    reader = _reader(model)

    def text(text: str | bytes, operation: Operation = "sentiment") -> msgspec.Struct:
        readable = _readable(text)
        if operation == "sentiment":
            return reader.sentiment(readable)
        numbers = reader.embedding(readable)
        return Embedding(numbers, len(numbers))

    return FunctionHandler(text, Declaration("text", capabilities=("text", *reader.operations)))


def _reader(model: str) -> Reader:
    if not model:
        return Lexicon()
    directory = checked_directory(model)
    from ohmesh.handlers.transformers_model import TransformersModel

    return TransformersModel(directory)


def _readable(text: str | bytes) -> str:
    """Refuses what is empty, undecodable or too long."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise ArgumentsRefused(f"The text is not UTF-8: {error}.") from None
    if not text.strip():
        raise ArgumentsRefused("The text is empty.", hint="Send at least one word.")
    if len(text) > _CHARACTERS_MAX:
        raise ArgumentsRefused(
            f"The text has {len(text)} characters; at most {_CHARACTERS_MAX} are read.",
            hint="Send it in parts.",
        )
    return text
