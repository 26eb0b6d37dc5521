"""Two agents that are to be tested: one that greets, and one that asks a service which is not always there."""

from __future__ import annotations

import asyncio

from ohmesh import Permanent, agent

calls: list[str] = []


@agent(kind="greet")
def greet(name: str, *, loudly: bool = False) -> str:
    """The name must not be empty, and that will not change by trying again."""
    if not name:
        raise Permanent("there is nobody to greet")
    return f"HELLO, {name.upper()}!" if loudly else f"Hello, {name}."


@agent(kind="ask", timeout=120, retries=5)
async def ask(question: str) -> str:
    """Stands for a call to a service: it takes half a minute, and is down at the first try."""
    calls.append(question)
    await asyncio.sleep(30)
    if len(calls) == 1:
        raise ConnectionError("the service is down")
    return f"The answer to {question!r} is 42."
