"""The handler: one agent's code as a runner process sees it, after it was loaded there.

Runners and handlers do not import each other. A runner's child process is told the import path of a `LoadHandlers`
(`module:function`) and calls it with the targets that it was given; only that process ever imports user code.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from ohmesh.model.agent import AgentSpec
from ohmesh.policies.failure import DEFAULT_RULE, RetryRule


class StreamMode(StrEnum):
    """What becomes of the items that a handler yields, beside being sent at once."""

    NONE = ""  # it yields nothing, it returns
    KEEP = "keep"  # the task's value is the list of them
    DISCARD = "discard"  # the task's value says how many there were


class Manner(NamedTuple):
    """Where `stream` is not NONE, `items` is called and not `invoke` or `invoke_async`. `retry_rule`: what its errors
    mean for the task."""

    stream: StreamMode = StreamMode.NONE
    retry_rule: RetryRule = DEFAULT_RULE


class Handler(Protocol):
    """Payloads and values are MessagePack: [positional, keyword] in, the result out."""

    @property
    def spec(self) -> AgentSpec:
        """What is announced. `spec.slots` is how many calls may run at once on one host; 0 is the runner's default."""
        ...

    @property
    def is_async(self) -> bool: ...

    @property
    def manner(self) -> Manner: ...

    def invoke(self, payload: bytes) -> bytes:
        """Decode, check, call, encode. Raises Permanent where a retry cannot help, else what the code raises."""
        ...

    def invoke_async(self, payload: bytes) -> Coroutine[object, None, bytes]:
        """The same for a handler that `is_async`."""
        ...

    def items(self, payload: bytes) -> Generator[bytes] | AsyncGenerator[bytes]:
        """One by one what it yields, async where it `is_async`; closing this closes the handler's own generator."""
        ...


LoadOptions = Mapping[str, Sequence[str]]
LoadHandlers = Callable[[Sequence[str], LoadOptions], Sequence[Handler]]
