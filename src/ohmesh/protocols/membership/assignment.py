"""The assignment record: which process runs which role, and since which term.

One record for the whole mesh, changed by compare-and-set only. A role's term is the revision of the write that gave it
to its process, which nobody knows before the write: it is written as 0, read as the revision of the record that holds
it, and spelt out by the next writer. So terms rise strictly, and no two claims ever share one.

Deciding is pure: from the record, the processes that live and what runs here follows what to stop, claim and release.
Invariants: a role that runs here without the record agreeing is stopped; a role in our name that does not run here is
claimed anew (its term is not known to be ours) or released; only a role without a living owner is an orphan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineFailed


class Holding(Struct, frozen=True):
    """`term` 0 stands for the revision of the record it was read from; outside of the wire it is never 0."""

    process: str
    term: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """`revision` 0: there is no record yet."""

    revision: int = 0
    holdings: Mapping[str, Holding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a process knows when it decides.

    serves: roles it can run. running: those it runs, with their terms. resting: those it must not start now (backing
    off after an error, or still ending). peers: other processes believed alive, with the roles that each serves; only
    who comes first depends on it. gone: owners whose lease is known to have ended.
    """

    process: str
    serves: frozenset[str]
    running: Mapping[str, int]
    resting: frozenset[str]
    peers: Mapping[str, Collection[str]]
    gone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """stop: they belong to another now. reclaim: ours by name, claimed anew at once. release: ours by name, not run.
    orphans: role -> how many living processes should claim it before us."""

    stop: frozenset[str] = frozenset()
    reclaim: frozenset[str] = frozenset()
    release: frozenset[str] = frozenset()
    orphans: Mapping[str, int] = field(default_factory=dict)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, Holding])


def decode_assignment(value: bytes, revision: int) -> Assignment:
    try:
        holdings = _decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise EngineFailed(
            f"The assignment record at revision {revision} cannot be read: {error}.",
            hint="Delete the state key 'assignment'; living processes write it anew.",
        ) from error
    return Assignment(
        revision, {role: Holding(each.process, each.term or revision) for role, each in holdings.items()}
    )


def encode_change(
    before: Assignment, process: str, *, claim: Iterable[str] = (), release: Iterable[str] = ()
) -> bytes:
    """The record after `process` has claimed and released these. A release of what is not its own changes nothing."""
    after = dict(before.holdings)
    for role in release:
        if role in after and after[role].process == process:
            del after[role]
    for role in sorted(claim):
        after[role] = Holding(process)
    return _encoder.encode(after)


def decide(record: Assignment, standing: Standing) -> Decision:
    ours = {role for role, each in record.holdings.items() if each.process == standing.process}
    startable = standing.serves - standing.resting - standing.running.keys()
    stop = frozenset(role for role, term in standing.running.items() if _is_superseded(record, role, term))
    orphans = [
        role
        for role in startable
        if role not in record.holdings or record.holdings[role].process in standing.gone
    ]
    return Decision(
        stop=stop,
        reclaim=frozenset(ours & startable),
        release=frozenset(ours - startable - standing.running.keys()),
        orphans=_ranks(record, standing, orphans),
    )


def _is_superseded(record: Assignment, role: str, term: int) -> bool:
    """Another term stands in the record. One that is older than our claim (a read that came late) proves nothing."""
    holding = record.holdings.get(role)
    return record.revision >= term and (holding is None or holding.term != term)


def _ranks(record: Assignment, standing: Standing, orphans: Iterable[str]) -> dict[str, int]:
    """Who has fewest roles comes first, then by name; each role counts for whom it is expected to go to. Processes
    that see the same record and peers find the same order without a word between them."""
    living = {**standing.peers, standing.process: standing.serves}
    load = Counter(each.process for each in record.holdings.values() if each.process in living)
    ranks = {}
    for role in sorted(orphans):
        queue = sorted(
            (name for name, serves in living.items() if role in serves), key=lambda name: (load[name], name)
        )
        ranks[role] = queue.index(standing.process)
        load[queue[0]] += 1
    return ranks
