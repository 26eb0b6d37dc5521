"""What `@agent` was told of its errors, checked when it is told."""

from __future__ import annotations

import math

from ohmesh.errors import AgentDefinitionError
from ohmesh.policies.failure import Backoff, RetryRule

ErrorTypes = type[BaseException] | tuple[type[BaseException], ...] | list[type[BaseException]]


def checked_rule(kind: str, retry_on: object, give_up_on: object, backoff: object) -> RetryRule:
    """Raises AgentDefinitionError."""
    retried, given_up = _classes(kind, "retry_on", retry_on), _classes(kind, "give_up_on", give_up_on)
    for both in set(retried) & set(given_up):
        raise AgentDefinitionError(
            f"@agent of kind {kind!r} names {both.__name__} in retry_on and in give_up_on.",
            hint="Leave it in one of them.",
        )
    if backoff is not None:
        _check_backoff(kind, backoff)
    return RetryRule(retried, given_up, backoff if isinstance(backoff, Backoff) else None)


def _classes(kind: str, name: str, given: object) -> tuple[type[BaseException], ...]:
    classes = tuple(given) if isinstance(given, tuple | list) else (given,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise AgentDefinitionError(
                f"@agent of kind {kind!r} has {name}={given!r}.",
                hint=f"Give classes of exceptions, such as {name}=(ConnectionError, TimeoutError).",
            )
    return classes


def _check_backoff(kind: str, backoff: object) -> None:
    if isinstance(backoff, Backoff):
        values: list[object] = [backoff.base, backoff.cap, backoff.multiplier]
        base, cap, multiplier = (float(one) if isinstance(one, int | float) else math.nan for one in values)
        if 0 <= base <= cap <= 1e7 and 1 <= multiplier <= 100:
            return
    raise AgentDefinitionError(
        f"@agent of kind {kind!r} has backoff={backoff!r}.",
        hint="Give Backoff(base=1, cap=60, multiplier=2): seconds, base up to cap, a multiplier from 1 to 100.",
    )
