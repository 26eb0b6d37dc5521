"""BRANCH_AND_RECONCILE: two versions of a context went apart; both are asked for, and merged as far as they converge.

Each branch is the version that most agents hold which name its hash. Where the values at the common ancestor are known
the merge is three-way: a key that one branch alone has changed takes its new value. Without them a key converges where
both have the same value, or only one has it; two versions that were named, and share no past, are no branches of one
context, and a person chooses one of them whole. What both changed differently is left to a person, who chooses a branch
for all of it; nothing is changed anywhere before. Then every agent takes the merged context.
Source: Mens, A State-of-the-Art Survey on Software Merging (2002), section 2.1, for two-way and three-way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ohmesh.errors import InvalidArgument
from ohmesh.model.conflict_evidence import BranchState, ConflictOrder
from ohmesh.protocols.conflict.strategy import Heard, OrderAgents, Step, settled, unsettled

Values = Mapping[str, str]
ABSENT = ""


def merge_branches(base: Values, left: Values, right: Values) -> tuple[dict[str, str], tuple[str, ...]]:
    """The merged values, and the keys that both changed differently (in `merged` they are missing)."""
    merged: dict[str, str] = {}
    open_keys: list[str] = []
    for key in sorted({*base, *left, *right}):
        mine, yours, before = left.get(key), right.get(key), base.get(key)
        if mine == yours:
            kept = mine
        elif base and mine == before:
            kept = yours
        elif base and yours == before:
            kept = mine
        elif not base and (mine is None or yours is None):
            kept = yours if mine is None else mine
        else:
            open_keys.append(key)
            continue
        if kept is not None:
            merged[key] = kept
    return merged, tuple(open_keys)


class BranchAndReconcile:
    """agents: those that reported it and some that did not, so that both branches are among them. versions: those that
    the report named, where it did."""

    def __init__(self, conflict: str, agents: tuple[str, ...], versions: tuple[bytes, ...] = ()) -> None:
        self._conflict = conflict
        self._agents = agents
        self._versions = versions
        self._branches: dict[str, BranchState] = {}
        self._merged: dict[str, str] = {}
        self._open: tuple[str, ...] = ()
        self._winner = ""
        self._is_merging = False
        self._is_unrelated = False

    def begin(self) -> Step:
        order = ConflictOrder(self._conflict, "branch", versions=self._versions)
        return Step((OrderAgents(self._agents, order),))

    def take(self, heard: Heard) -> Step:
        return self._confirmed(heard) if self._is_merging else self._compare(heard)

    def decide(self, winner: str) -> Step:
        branch = self._branches.get(winner)
        if branch is None:
            raise InvalidArgument(
                f"{winner!r} is no branch of this conflict.",
                hint=f"One of {', '.join(self._branches)}." if self._branches else "None was heard of yet.",
            )
        chosen = {key: branch.values[key] for key in self._open if key in branch.values}
        self._merged = dict(branch.values) if self._is_unrelated else {**self._merged, **chosen}
        self._winner = winner
        return self._merge()

    def _compare(self, heard: Heard) -> Step:
        states = [answer.branch for answer in heard.answers.values() if answer.branch is not None]
        if not states:
            return unsettled("No agent told its version.")
        self._branches = _leading(states)
        if len(self._branches) == 1:
            (hash_,) = self._branches
            return settled("All hold the same version by now.", winner=hash_, cleared=tuple(heard.answers))
        if len(self._branches) > 2:
            return unsettled(f"{len(self._branches)} versions exist.", left=tuple(self._branches))
        left, right = self._branches.values()
        # Who does not know the other branch knows no ancestor; one that does is enough.
        base = left.base if left.base == right.base or not right.base else right.base if not left.base else {}
        self._is_unrelated = bool(self._versions) and not base
        if self._is_unrelated:
            return unsettled("They share no past, so one of them holds.", left=tuple(self._branches))
        self._merged, self._open = merge_branches(base, left.values, right.values)
        if self._open:
            return unsettled(
                f"{len(self._merged)} keys converge, {len(self._open)} were changed in both branches.",
                left=self._open,
            )
        return self._merge()

    def _merge(self) -> Step:
        self._is_merging = True
        parents = tuple(bytes.fromhex(name) for name in self._branches)
        order = ConflictOrder(self._conflict, "merge", values=self._merged, versions=parents)
        return Step((OrderAgents(self._agents, order),))

    def _confirmed(self, heard: Heard) -> Step:
        done = tuple(agent for agent in self._agents if _is_done(heard, agent))
        missing = tuple(agent for agent in self._agents if agent not in done)
        if not done:
            return unsettled("No agent took the merged context.", left=missing)
        late = f" {len(missing)} did not answer." if missing else ""
        return settled(
            f"{len(done)} agents took the merged context of {len(self._merged)} keys.{late}",
            winner=self._winner or "merged",
            cleared=done,
        )


def _is_done(heard: Heard, agent: str) -> bool:
    answer = heard.answers.get(agent)
    return answer is not None and answer.done


def _leading(states: list[BranchState]) -> dict[str, BranchState]:
    """By hash in hex: of each the version that most tell, so that one that lies about its own does not speak for it."""
    by_hash: dict[str, Counter[tuple[tuple[str, str], ...]]] = {}
    whole: dict[tuple[str, tuple[tuple[str, str], ...]], BranchState] = {}
    for state in states:
        name, values = state.context_hash.hex(), tuple(sorted(state.values.items()))
        by_hash.setdefault(name, Counter())[values] += 1
        whole.setdefault((name, values), state)
    return {
        name: whole[name, max(sorted(counts), key=lambda values: counts[values])]
        for name, counts in sorted(by_hash.items())
    }
