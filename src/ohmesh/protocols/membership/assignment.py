"""The assignment record: which process runs which role, and since which term.

One record for the whole mesh, changed by compare-and-set only. A role's term is the revision of the write that gave it
to its process, which nobody knows before the write: it is written as 0, read as the revision of the record that holds
it, and spelt out by the next writer. So terms rise strictly, and no two claims ever share one.

Deciding is pure: from the record, the processes that live and what runs here follows what to stop, claim and release.
Invariants: a role that runs here without the record agreeing is stopped; a role in our name that does not run here is
claimed anew (its term is not known to be ours) or released; only a role without a living owner is an orphan; what we
have beyond our fair share is ended here first, and released only then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from ohmesh.errors import EngineFailed
from ohmesh.protocols.membership.balance import spread


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
    off after an error, or still ending). ending: those of them that may still end in order, and are waited for.
    peers: other processes believed alive, with the roles that each serves; only who comes first, and what is a fair
    share, depends on it. gone: owners whose lease is known to have ended.
    """

    process: str
    serves: frozenset[str]
    running: Mapping[str, int]
    resting: frozenset[str]
    peers: Mapping[str, Collection[str]]
    gone: frozenset[str]
    ending: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """stop: they belong to another now. reclaim: ours by name, claimed anew at once. release: ours by name, not run
    or beyond our share. orphans: role -> how many living processes should claim it before us. surplus: roles that run
    here and should be handed over -> to whom."""

    stop: frozenset[str] = frozenset()
    reclaim: frozenset[str] = frozenset()
    release: frozenset[str] = frozenset()
    orphans: Mapping[str, int] = field(default_factory=dict)
    surplus: Mapping[str, str] = field(default_factory=dict)


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
    living = {**standing.peers, standing.process: standing.serves}
    living = {name: serves for name, serves in living.items() if name not in standing.gone}
    owners = {role: each.process for role, each in record.holdings.items()}
    unowned = {
        role
        for role in standing.serves.union(*living.values())
        if role not in owners or owners[role] in standing.gone
    }
    fair = spread({role: owner for role, owner in owners.items() if owner in living}, unowned, living)

    ours = {role for role, owner in owners.items() if owner == standing.process}
    startable = standing.serves - standing.resting - standing.running.keys()
    idle = ours - standing.running.keys() - standing.ending
    reclaim = frozenset((idle & startable) - fair.moves.keys())
    return Decision(
        stop=frozenset(role for role, term in standing.running.items() if _is_superseded(record, role, term)),
        reclaim=reclaim,
        release=frozenset(idle - reclaim),
        orphans={
            role: queue.index(standing.process) for role, queue in fair.queues.items() if role in startable
        },
        surplus={
            role: heir for role, heir in fair.moves.items() if role in ours and role in standing.running
        },
    )


def _is_superseded(record: Assignment, role: str, term: int) -> bool:
    """Another term stands in the record. One that is older than our claim (a read that came late) proves nothing."""
    holding = record.holdings.get(role)
    return record.revision >= term and (holding is None or holding.term != term)
