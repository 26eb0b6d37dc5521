"""Two agents: typed functions. Their arguments are checked against the types, their results travel back."""

from __future__ import annotations

import asyncio

from ohmesh import RetryLater, agent


@agent(kind="summarise", capabilities=["text"], timeout=10, retries=2)
def summarise(text: str, words: int = 8) -> str:
    """The first words of a text. A plain function runs in a process of its own: it may block as long as it likes."""
    found = text.split()
    return " ".join(found[:words]) + (" ..." if len(found) > words else "")


@agent(kind="fetch", slots=100)
async def fetch(name: str, seconds: float = 0.1) -> dict[str, str]:
    """Stands for a call to a slow service. An async function runs many times at once in one process."""
    if name == "busy":
        raise RetryLater("the service has no room now", delay_ms=500)
    await asyncio.sleep(seconds)
    return {"name": name, "answer": f"hello, {name}"}
