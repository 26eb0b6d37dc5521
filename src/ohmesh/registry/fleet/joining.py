"""Who joins: agents of one host, as columns. Rows rise strictly, so no agent is meant twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ohmesh.errors import InvalidArgument
from ohmesh.model.heartbeat import profile_code
from ohmesh.model.topology import parse_place
from ohmesh.registry.fleet.columns import Index, Rows

MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joining:
    """Agents of one host that join at mesh time `at_ms`.

    class_codes: the place of each one's class in AgentClasses. profile: a name of HEARTBEAT_PROFILES.
    capability_sets, set_of: what they can do beyond the defaults of their class, each set once; for each row its place.
    names: row -> the name that its owner gave it.
    Raises InvalidArgument when made: lengths, an unknown profile or set, a name that cannot be one.
    """

    host: str
    at_ms: int
    rows: Rows
    class_codes: npt.NDArray[np.integer]
    profile: str = "agent"
    capability_sets: Sequence[Sequence[str]] = ()
    set_of: npt.NDArray[np.integer] | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_rows(self.rows)
        _check_length("class_codes", self.class_codes, len(self.rows))
        profile_code(self.profile)
        if not self.host:
            raise InvalidArgument("Agents join by their host; it has no name.")
        if self.set_of is not None:
            _check_length("set_of", self.set_of, len(self.rows))
            if len(self.rows) and not 0 <= self.set_of.min() <= self.set_of.max() < len(self.capability_sets):
                raise InvalidArgument(
                    f"set_of names a set of capabilities beyond the {len(self.capability_sets)} given."
                )
        for name in self.names.values():
            check_name(name)


def check_rows(rows: Rows) -> None:
    """Raises InvalidArgument unless they rise strictly, from 0."""
    if len(rows) and (rows[0] < 0 or not (rows[1:] > rows[:-1]).all()):
        raise InvalidArgument("Rows rise strictly, from 0; an agent was meant twice or out of order.")


def check_name(name: str) -> None:
    """Raises InvalidArgument: empty, too long, or one that could be mistaken for the id of another agent."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidArgument(
            f"{name[:80]!r} cannot be the name of an agent.",
            hint=f"Give it 1 to {MAX_NAME_CHARACTERS} printable characters.",
        )
    try:
        parse_place(name)
    except InvalidArgument:
        return
    raise InvalidArgument(f"{name!r} is the id of an agent and cannot be the name of one.")


def as_index(rows: Rows) -> Index:
    """A slice where the rows are all those between the first and the last: columns are several times as quick by it."""
    if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _check_length(name: str, array: npt.NDArray[np.generic], count: int) -> None:
    if len(array) != count:
        raise InvalidArgument(f"{name} has {len(array)} places for {count} agents.")
