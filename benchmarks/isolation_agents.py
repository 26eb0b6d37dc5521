"""The agents of benchmarks/isolation.py: each naps, and says when it began, in nanoseconds since 1970."""

from __future__ import annotations

import time

from ohmesh import agent


@agent(kind="image")
def image(seconds: float) -> int:
    return napped(seconds)


@agent(kind="text")
def text(seconds: float) -> int:
    return napped(seconds)


def napped(seconds: float) -> int:
    began_ns = time.time_ns()
    time.sleep(seconds)
    return began_ns
