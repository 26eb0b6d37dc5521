"""Declaring an agent: `@agent` on a typed function.

The decorated object is the function itself: it stays callable, picklable and visible to type checkers; the
declaration hangs on it as an attribute, and nothing is checked until a runner loads it (names that annotations
mention may be defined further down in the module).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, overload

from ohmesh.errors import AgentDefinitionError, InvalidArgument
from ohmesh.handlers.retrying import ErrorTypes, checked_rule
from ohmesh.model.agent import AgentSpec
from ohmesh.model.subject import checked_name
from ohmesh.policies.failure import DEFAULT_RULE, Backoff, RetryRule

_ATTRIBUTE = "__ohmesh_agent__"

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the decorator was told. `slots`: how many calls may run at once on one host, 0 leaves it to the host.
    `stream`: "keep" or "discard", of a generator; "" is keep."""

    kind: str
    capabilities: tuple[str, ...] = ()
    timeout_ms: int = 0
    max_attempts: int = 0
    slots: int = 0
    stream: str = ""
    retry_rule: RetryRule = DEFAULT_RULE

    def spec(self) -> AgentSpec:
        """As announced; a kind is declared once per host, so it names the agent too."""
        return AgentSpec(
            self.kind, self.kind, self.capabilities, self.slots, self.timeout_ms, self.max_attempts
        )


@overload
def agent(function: AnyFunction, /) -> AnyFunction: ...


@overload
def agent(
    *,
    kind: str = ...,
    capabilities: tuple[str, ...] | list[str] = ...,
    timeout: float | None = ...,
    retries: int | None = ...,
    slots: int | None = ...,
    stream: str | None = ...,
    retry_on: ErrorTypes = ...,
    give_up_on: ErrorTypes = ...,
    backoff: Backoff | None = ...,
) -> Callable[[AnyFunction], AnyFunction]: ...


def agent(
    function: AnyFunction | None = None,
    /,
    *,
    kind: str = "",
    capabilities: tuple[str, ...] | list[str] = (),
    timeout: float | None = None,
    retries: int | None = None,
    slots: int | None = None,
    stream: str | None = None,
    retry_on: ErrorTypes = (),
    give_up_on: ErrorTypes = (),
    backoff: Backoff | None = None,
) -> AnyFunction | Callable[[AnyFunction], AnyFunction]:
    """Make `function`, sync or async, an agent that does tasks of `kind` (default: the function's name).

    timeout: seconds that one attempt may run; retries: attempts after the first one; both default to the mesh's.
    slots: how many calls may run at once on one host (default: one per process, or many for an async function).
    retry_on, give_up_on: classes of errors that another attempt may help, or cannot help; the nearest named ancestor of
    an error decides, and with `retry_on` what is not named gives up. backoff: how long to wait in between.
    A function that yields streams its items (docs/streaming.md); stream: "keep" (default), their list is the task's
    value; "discard", only their count is.
    Raises AgentDefinitionError when a value cannot be used.
    """

    def declare(target: AnyFunction) -> AnyFunction:
        _check_function(target)
        name = kind or target.__name__
        declaration = Declaration(
            kind=_checked_kind(name),
            capabilities=_checked_capabilities(name, capabilities),
            timeout_ms=_timeout_ms(name, timeout),
            max_attempts=0 if retries is None else _at_least(name, "retries", retries, 0) + 1,
            slots=0 if slots is None else _at_least(name, "slots", slots, 1),
            stream=_checked_stream(name, stream, target),
            retry_rule=checked_rule(name, retry_on, give_up_on, backoff),
        )
        setattr(target, _ATTRIBUTE, declaration)
        return target

    return declare if function is None else declare(function)


def declaration_of(value: object) -> Declaration | None:
    """The declaration on `value`, None when it is not an agent."""
    found = getattr(value, _ATTRIBUTE, None)
    return found if isinstance(found, Declaration) else None


def _check_function(target: object) -> None:
    if inspect.isfunction(target):
        return
    raise AgentDefinitionError(
        f"@agent stands on {target!r}, which is not a plain function.",
        hint="Put it on a `def` or `async def` at the top of a module.",
    )


def _checked_kind(kind: str) -> str:
    try:
        return checked_name(kind, "kind")
    except InvalidArgument as error:
        raise AgentDefinitionError(
            error.message, hint=f"{error.hint} Say it with @agent(kind=...)."
        ) from None


def _checked_capabilities(kind: str, capabilities: object) -> tuple[str, ...]:
    if isinstance(capabilities, tuple | list) and all(
        isinstance(name, str) and name for name in capabilities
    ):
        return tuple(capabilities)
    raise AgentDefinitionError(
        f"@agent of kind {kind!r} has capabilities={capabilities!r}.",
        hint="Give a tuple of names, such as capabilities=('gpu',).",
    )


def _timeout_ms(kind: str, timeout: object) -> int:
    if timeout is None:
        return 0
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0.001 <= timeout < 1e9:
        return round(timeout * 1000)
    raise AgentDefinitionError(
        f"@agent of kind {kind!r} has timeout={timeout!r}.",
        hint="Give seconds, at least 0.001, such as timeout=2.5.",
    )


def _at_least(kind: str, name: str, value: object, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise AgentDefinitionError(
        f"@agent of kind {kind!r} has {name}={value!r}.", hint=f"Give a whole number, at least {least}."
    )


def _checked_stream(kind: str, stream: object, target: object) -> str:
    if stream is None:
        return ""
    if stream not in ("keep", "discard"):
        raise AgentDefinitionError(
            f"@agent of kind {kind!r} has stream={stream!r}.", hint='Give "keep" or "discard".'
        )
    if not (inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)):
        raise AgentDefinitionError(
            f"@agent of kind {kind!r} has stream={stream!r}, but it yields nothing.",
            hint="Yield the items, or drop stream=.",
        )
    return str(stream)
