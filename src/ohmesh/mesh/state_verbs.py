"""The verbs that change the state of agents of a fleet, as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ohmesh.mesh.fleet_verbs import checked, said
from ohmesh.model.fleet_request import ContextView, OperationView
from ohmesh.model.state_order import MAIN
from ohmesh.operations import fleet_state_arguments as a
from ohmesh.operations import fleet_states as operations
from ohmesh.roles.client import Client

TIMEOUT_S = 10.0


class StateVerbs:
    """`client` is the role underneath.

    scope: "all", a sector ("s007"), a cluster ("s007.c04"), an agent ("s007.c04.a12") or a filter ("class=gpu").
    Each is an operation: it returns once `quorum` of those that were asked are ready or `timeout` (seconds, or text
    such as "500ms") is over, with detach once it has begun. key: the same key is the same operation.
    """

    client: Client

    async def freeze(
        self,
        scope: str = "all",
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Stop agents; their state is kept on disk before they answer. `thaw` takes it back."""
        wish = a.FreezeAgents(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.freeze(self.client, checked(wish))

    async def thaw(
        self,
        scope: str = "all",
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Load the state of frozen agents and let them go on; `answers` are the marks of their contexts."""
        wish = a.ThawAgents(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.thaw(self.client, checked(wish))

    async def drain(
        self,
        scope: str,
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Give agents no new work. `release` takes it back."""
        wish = a.DrainAgents(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.drain(self.client, checked(wish))

    async def avoid(
        self,
        scope: str,
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Route nothing to agents. `release` takes it back."""
        wish = a.AvoidAgents(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.avoid(self.client, checked(wish))

    async def release(
        self,
        scope: str,
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """End the draining and the avoiding of agents."""
        wish = a.ReleaseAgents(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.release(self.client, checked(wish))

    async def heal(
        self,
        target: str = "auto",
        *,
        how: str = "auto",
        branch: str = MAIN,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Do to agents what they need; "auto" is whoever is out of reach, silent, avoided, or of another context.
        how: "restart", "replace", "resync" does that to the target. `steps` and `answers` say what was done."""
        wish = a.HealAgents(
            target=target,
            how=how,
            branch=branch,
            timeout=said(timeout),
            quorum=quorum,
            detach=detach,
            key=key,
        )
        return await operations.heal(self.client, checked(wish))

    async def fleet_context(self, *, branch: str = MAIN, version: str = "") -> ContextView:
        """A branch of the context or one version of it, and how many agents hold which."""
        return await operations.show_context(
            self.client, checked(a.ShowContext(branch=branch, version=version))
        )

    async def set_context(
        self,
        put: Mapping[str, Any] | None = None,
        *,
        remove: Sequence[str] = (),
        replace: bool = False,
        base: str = "",
        merge: bool = False,
        branch: str = MAIN,
        scope: str = "all",
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Change the context of agents; a text is kept as it is, everything else as JSON. merge: who holds another
        version merges it. base: refuse where the branch stands at another version."""
        wish = a.SetContext(
            put=dict(put or {}),
            remove=list(remove),
            replace=replace,
            base=base,
            merge=merge,
            branch=branch,
            scope=scope,
            timeout=said(timeout),
            quorum=quorum,
            detach=detach,
            key=key,
        )
        return await operations.set_context(self.client, checked(wish))

    async def merge_context(
        self,
        source: str,
        *,
        branch: str = MAIN,
        scope: str = "all",
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Merge one branch into another and let agents hold the result. Raises InvalidArgument, the entries that both
        changed named."""
        wish = a.MergeContext(
            source=source,
            branch=branch,
            scope=scope,
            timeout=said(timeout),
            quorum=quorum,
            detach=detach,
            key=key,
        )
        return await operations.merge_context(self.client, checked(wish))

    async def verify_context(
        self,
        *,
        version: str = "",
        branch: str = MAIN,
        scope: str = "all",
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Who holds exactly this version is ready, and it is known good from then on; everybody else is in conflict."""
        wish = a.CheckContext(
            version=version,
            branch=branch,
            scope=scope,
            timeout=said(timeout),
            quorum=quorum,
            detach=detach,
            key=key,
        )
        return await operations.verify_context(self.client, checked(wish))

    async def sync_context(
        self,
        peer: str,
        *,
        scope: str = "all",
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Let agents hold the context that `peer` holds."""
        wish = a.FetchContext(
            peer=peer, scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key
        )
        return await operations.sync_context(self.client, checked(wish))

    async def restore_context(
        self,
        scope: str,
        *,
        timeout: float | str = TIMEOUT_S,
        quorum: float = 1.0,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Back to the last version that was verified, each agent to its own."""
        wish = a.GoBackContext(scope=scope, timeout=said(timeout), quorum=quorum, detach=detach, key=key)
        return await operations.restore_context(self.client, checked(wish))
