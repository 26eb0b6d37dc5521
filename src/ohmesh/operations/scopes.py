"""How much of a fleet a verb is about: all of it, a sector, a cluster, an agent, or what a filter says."""

from __future__ import annotations

import re

from ohmesh.errors import InvalidArgument
from ohmesh.registry.fields import FLEET

EVERYBODY = "all"

_PART = re.compile(r"s(\d{1,3})(?:\.c(\d{1,2}))?\Z")
_AGENT = re.compile(r"s\d{1,3}\.c\d{1,2}\.a\d{1,3}\Z")


def where_of(scope: str) -> str:
    """The selector of agents that `scope` means; "" is everybody. Raises InvalidArgument: it is neither a place nor a
    selector."""
    if scope == EVERYBODY:
        return ""
    if _AGENT.match(scope):
        return f'agent="{scope}"'
    part = _PART.match(scope)
    if part is not None:
        sector, cluster = part.groups()
        return f"sector={int(sector)}" + (f" and cluster={int(cluster)}" if cluster else "")
    from ohmesh.registry.selector import compile_selector

    if not scope.strip():
        raise InvalidArgument(
            "A scope says who is meant.", hint="all, s007, s007.c04, s007.c04.a12 or a filter."
        )
    compile_selector(scope, FLEET)
    return scope
