"""What a method of settling conflicts orders about contexts, done in the process that holds them, for many agents at a
time: tell the branch, take the merged one, load the one that was good. The rest is the agents' own to answer.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ohmesh.errors import InvalidArgument
from ohmesh.model.branch_values import entries_of, values_of
from ohmesh.model.conflict_evidence import BranchState, ConflictOrder, Evidence, encode
from ohmesh.model.context import HASH_BYTES, decode_content, encode_content, version_of
from ohmesh.model.state_order import HoldContext, decode_state_order, is_state_order
from ohmesh.ports.population import Mask
from ohmesh.roles.fleet.agent_states import AgentStates, Asked
from ohmesh.roles.fleet.state_orders import StateOrders

ABOUT_CONTEXTS = frozenset({"branch", "merge", "reload"})


class ConflictOrders:
    def __init__(self, states: AgentStates, orders: StateOrders) -> None:
        self._states = states
        self._orders = orders

    def obey(self, order: ConflictOrder, asked: Asked) -> Mask:
        """Of those that were asked, the ones for whom it was done here. Raises InvalidArgument: an order to load that
        cannot be read, or a content that is not what it names."""
        here = np.zeros(len(asked.rows), bool)
        if order.ask in ABOUT_CONTEXTS:
            here = self._states.contexts.head[asked.at] != 0
        if here.any():
            self._do(order, asked.part(here))
        return here

    def _do(self, order: ConflictOrder, asked: Asked) -> None:
        match order.ask:
            case "branch":
                wanted = self._ancestor(order.versions)
                self._orders.with_contents((wanted,), partial(self._tell_branches, asked, wanted))
            case "merge":
                self._orders.with_contents(order.versions, partial(self._merge, asked, order))
            case _:
                self._learn(order.context)
                self._orders.with_contents((order.context_hash,), partial(self._reload, asked, order))

    def _ancestor(self, versions: tuple[bytes, ...]) -> bytes:
        """Of both, as far as they are known; b"" where they have none."""
        history = self._states.contexts.history
        if len(versions) != 2 or any(version not in history for version in versions):
            return b""
        return history.divergence(*versions).ancestor

    def _tell_branches(self, asked: Asked, ancestor: bytes) -> None:
        base = self._entries(ancestor)

        def branch(held: bytes) -> bytes:
            return encode(
                Evidence(
                    branch=BranchState(held, values_of(self._entries(held)), values_of(base)),
                    context_hash=held,
                )
            )

        self._states.ready(asked, branch)

    def _merge(self, asked: Asked, order: ConflictOrder) -> None:
        contexts = self._states.contexts
        parents = tuple(version for version in order.versions if len(version) == HASH_BYTES)
        try:
            sources = [self._entries(version) for version in (*parents, *contexts.heads(asked.at))]
            content = encode_content(entries_of(order.values, sources))
            merged = contexts.learn(version_of(content, *parents), content)
        except InvalidArgument:
            self._answer(asked, done=False)
            return
        contexts.put(asked.at, merged)
        self._states.told(asked)
        self._answer(asked, done=True)

    def _reload(self, asked: Asked, order: ConflictOrder) -> None:
        contexts = self._states.contexts
        version = contexts.history.find(order.context_hash) or order.context_hash
        done = bool(version) and contexts.holds(version)
        if done:
            contexts.put(asked.at, version)
            contexts.approve(asked.at, version)
            self._states.told(asked)
        self._answer(asked, done=done)

    def _answer(self, asked: Asked, *, done: bool) -> None:
        self._states.ready(asked, lambda held: encode(Evidence(context_hash=held, done=done)))

    def _learn(self, context: bytes) -> None:
        if not is_state_order(context):
            return
        told = decode_state_order(context)
        if isinstance(told, HoldContext):
            for version in told.lineage:
                content = told.content if told.content and version.hash == told.version else None
                self._states.contexts.learn(version, content)

    def _entries(self, version: bytes) -> dict[str, bytes]:
        content = self._states.contexts.content_of(version)
        return decode_content(content) if content is not None else {}
