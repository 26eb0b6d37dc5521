"""Types of events that are asked for: one that nothing ever has is a slip of the pen, and would wait for ever."""

from __future__ import annotations

import re
from difflib import get_close_matches

from ohmesh.errors import InvalidArgument
from ohmesh.model.event import EVENT_TYPES, PREFIX, VERSION
from ohmesh.registry.selector import Selector
from ohmesh.registry.selector.literals import glob_pattern
from ohmesh.registry.selector.tree import Glob, OneOf, Present


def checked_type(text: str, *, name: str = "type") -> str:
    """`text`, where events of that type, or of types that it stands for (`task.*`), can happen."""
    is_meant = glob_pattern(re.sub(r"\*+", "*", text)).fullmatch
    if any(is_meant(one) or is_meant(f"{PREFIX}{one}{VERSION}") for one in EVENT_TYPES):
        return text
    short = text.removeprefix(PREFIX).removesuffix(VERSION)
    near = get_close_matches(short, EVENT_TYPES, n=1)
    alike = [one for one in EVENT_TYPES if one.partition(".")[0] == short.partition(".")[0]]
    meant = f"Did you mean {near[0]!r}? " if near else ""
    groups = [f"{one}.*" for one in dict.fromkeys(one.partition(".")[0] for one in EVENT_TYPES)]
    raise InvalidArgument(
        f"{name}: no event is ever of type {text!r}.", hint=f"{meant}There are {', '.join(alike or groups)}."
    )


def check_types(selector: Selector) -> None:
    """InvalidArgument where a selector of events asks for a type that there is not."""
    for test in selector.tests:
        if test.field != "type" or isinstance(test, Present):
            continue
        for value in test.values if isinstance(test, OneOf) else (test.value,):
            checked_type(value.pattern if isinstance(value, Glob) else str(value))
