"""Classes of agents of the fleet, as data: what to expect of one of which nothing has been measured yet.

A edge, B serverless, C persistent, D GPU, E local, F human; a mesh may declare others.
"""

from __future__ import annotations

from msgspec import Struct

from ohmesh.errors import InvalidArgument

MAX_CLASSES = 64


class AgentClass(Struct, frozen=True):
    """base_ms: processing without weight or queue. share: how many of a full fleet of 30,000 are so.
    is_human: judged against its own base, and asked with long windows only."""

    name: str
    title: str
    base_ms: float
    share: int
    capabilities: tuple[str, ...] = ()
    is_human: bool = False


STANDARD_CLASSES: tuple[AgentClass, ...] = (
    AgentClass("A", "edge", 10.0, 10_000, ("edge",)),
    AgentClass("B", "serverless", 50.0, 8_000, ("serverless",)),
    AgentClass("C", "persistent", 200.0, 5_000, ("persistent",)),
    AgentClass("D", "GPU", 100.0, 2_000, ("gpu",)),
    AgentClass("E", "local", 150.0, 3_000, ("local",)),
    AgentClass("F", "human", 60_000.0, 2_000, ("human",), is_human=True),
)


class AgentClasses:
    """The classes of a mesh; a class is a small number in columns, its place here."""

    def __init__(self, classes: tuple[AgentClass, ...] = STANDARD_CLASSES) -> None:
        """Raises InvalidArgument: none, too many, a name twice, a base that is not above zero."""
        names = [one.name for one in classes]
        if not 0 < len(classes) <= MAX_CLASSES or len(set(names)) != len(names):
            raise InvalidArgument(
                f"A mesh has 1 to {MAX_CLASSES} classes of agents, each with a name of its own."
            )
        for one in classes:
            if not one.base_ms > 0:
                raise InvalidArgument(f"Class {one.name!r} has base_ms {one.base_ms}; it must be above zero.")
        self.all = classes
        self._codes = {name: code for code, name in enumerate(names)}

    def code(self, name: str) -> int:
        """Raises InvalidArgument: no such class."""
        code = self._codes.get(name)
        if code is None:
            raise InvalidArgument(
                f"There is no class {name!r} of agents.", hint=f"One of {', '.join(self._codes)}."
            )
        return code
