"""The verbs about a fleet as methods: AsyncMesh has them, and Mesh mirrors them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from ohmesh.model.fleet_reading import FleetDescription
from ohmesh.model.fleet_request import OperationView
from ohmesh.model.priority import Priority, parse_priority
from ohmesh.operations import fleet as operations
from ohmesh.operations import fleet_arguments as a
from ohmesh.operations.arguments import DEFAULT_WAIT_S
from ohmesh.operations.delegation import BEST, Delegate, delegate
from ohmesh.operations.fleet_results import FleetAgentList, OperationList, OperationRecord, ScopeList
from ohmesh.operations.parameter import parse_arguments
from ohmesh.roles.client import Client

Arguments = TypeVar("Arguments", bound=Struct)


class FleetVerbs:
    """`client` is the role underneath.

    Of an operation: filter says who is meant ("class=gpu and sector in (3,7)"), sample draws so many of them by `seed`.
    timing: "now", "lead" or "hold"; window: from now to T, timeout: for answers, both in seconds or as text ("500ms").
    at: T as an instant ("2026-11-27T20:00:00Z", "+5s") in place of a window. percent: in place of a sample. dry_run:
    nothing is done, `plan` of the view says who would be asked and when, who not and why, and what to expect.
    It is decided once `quorum` of those that were asked are ready, or once `expect` are. approved: although the fleet
    is degraded. detach: return once it has begun. key: the same key is the same operation.
    """

    client: Client

    async def fleet(self) -> FleetDescription:
        """Who is there, the mode of the fleet, its sectors, the last operation. Raises MeshUnreachable: no fleet."""
        return await operations.fleet_status(self.client, a.FleetStatus())

    async def fleet_agents(
        self,
        *,
        filter: str = "",  # noqa: A002 - the word of every door
        limit: int = 100,
        after: str = "",
    ) -> FleetAgentList:
        """A page of agents by their place; `after` of one page asks for the next."""
        wanted = checked(a.ListFleetAgents(filter=filter, limit=limit, after=after))
        return await operations.list_fleet_agents(self.client, wanted)

    async def fleet_best(
        self,
        *capabilities: str,
        filter: str = "",  # noqa: A002 - the word of every door
        limit: int = 500,
    ) -> FleetAgentList:
        """The agents that can take something now and have all of these, the lowest impedance first.
        Raises NoCapableAgentError, which says what is missing."""
        wanted = checked(a.BestAgents(capabilities=list(capabilities), filter=filter, limit=limit))
        return await operations.best_agents(self.client, wanted)

    async def fleet_sectors(self) -> ScopeList:
        """The sectors that somebody lives in, and who coordinates them."""
        return await operations.list_sectors(self.client, a.ListSectors())

    async def fleet_clusters(self, *, sector: int = -1) -> ScopeList:
        """The clusters of one sector or of all, and who leads them."""
        return await operations.list_clusters(self.client, checked(a.ListClusters(sector=sector)))

    async def ping(
        self,
        *,
        filter: str = "",  # noqa: A002 - the word of every door
        sample: int = 0,
        seed: int = 0,
        timing: str = "",
        window: float | str = "",
        at: str = "",
        percent: float = 0.0,
        dry_run: bool = False,
        timeout: float | str = "",
        quorum: float = 1.0,
        expect: int = 0,
        priority: Priority | str | int = Priority.NORMAL,
        approved: bool = False,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Ask agents whether they are there. Thirty targets or fewer are shown one by one."""
        wanted = a.Ping(
            filter=filter,
            sample=sample,
            seed=seed,
            timing=timing,
            window=said(window),
            at=at,
            percent=percent,
            dry_run=dry_run,
            timeout=said(timeout),
            quorum=quorum,
            expect=expect,
            priority=parse_priority(priority).name,
            approved=approved,
            detach=detach,
            key=key,
        )
        return await operations.ping(self.client, checked(wanted))

    async def broadcast(
        self,
        message: str,
        priority: Priority | str | int = Priority.HIGH,
        require_ack: bool = False,
        *,
        filter: str = "",  # noqa: A002 - the word of every door
        sample: int = 0,
        seed: int = 0,
        timing: str = "",
        window: float | str = "",
        at: str = "",
        percent: float = 0.0,
        dry_run: bool = False,
        timeout: float | str = "",
        quorum: float = 0.95,
        expect: int = 0,
        approved: bool = False,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Tell agents something, now or to be ready at T. require_ack: wait until each has done it, not just has it.
        The view says how many have it (`received`) and how many did it (`acknowledged`)."""
        wanted = a.Broadcast(
            message=message,
            require_ack=require_ack,
            filter=filter,
            sample=sample,
            seed=seed,
            timing=timing,
            window=said(window),
            at=at,
            percent=percent,
            dry_run=dry_run,
            timeout=said(timeout),
            quorum=quorum,
            expect=expect,
            priority=parse_priority(priority).name,
            approved=approved,
            detach=detach,
            key=key,
        )
        return await operations.broadcast(self.client, checked(wanted))

    async def ask(
        self,
        question: str,
        sample_size: int = 100,
        capability_filter: str | Sequence[str] | None = None,
        *,
        filter: str = "",  # noqa: A002 - the word of every door
        seed: int = 0,
        timing: str = "",
        window: float | str = "",
        at: str = "",
        percent: float = 0.0,
        dry_run: bool = False,
        timeout: float | str = "",
        quorum: float = 1.0,
        expect: int = 0,
        priority: Priority | str | int = Priority.NORMAL,
        approved: bool = False,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Ask agents a question; `answers` of the view are (answer, how many). capability_filter: only those that
        can do all of this."""
        wanted = a.Ask(
            question=question,
            filter=filter,
            sample_size=sample_size,
            capability_filter=_names(capability_filter),
            seed=seed,
            timing=timing,
            window=said(window),
            at=at,
            percent=percent,
            dry_run=dry_run,
            timeout=said(timeout),
            quorum=quorum,
            expect=expect,
            priority=parse_priority(priority).name,
            approved=approved,
            detach=detach,
            key=key,
        )
        return await operations.ask(self.client, checked(wanted))

    async def delegate(
        self,
        task: str,
        to: str = BEST,
        timeout_seconds: float = 300.0,
        *,
        priority: Priority | str | int = Priority.NORMAL,
        key: str = "",
    ) -> OperationView:
        """Give work to one agent: "best_available", an agent, or the best of a filter. `answers` has what it said.

        Raises NoCapableAgentError: nobody of those is active and on duty."""
        wish = Delegate(
            task=task, to=to, timeout_seconds=timeout_seconds, priority=parse_priority(priority).name, key=key
        )
        return await delegate(self.client, checked(wish))

    async def cascade(
        self,
        message: str,
        *,
        filter: str = "",  # noqa: A002 - the word of every door
        sample: int = 0,
        seed: int = 0,
        require_ack: bool = False,
        strategy: str = "wave",
        timing: str = "",
        window: float | str = "",
        at: str = "",
        percent: float = 0.0,
        dry_run: bool = False,
        timeout: float | str = "",
        quorum: float = 0.95,
        expect: int = 0,
        priority: Priority | str | int = Priority.HIGH,
        approved: bool = False,
        detach: bool = False,
        key: str = "",
    ) -> OperationView:
        """Tell agents something in stages, each with a quorum of its own: "wave", "parallel" or "priority_first"."""
        wanted = a.Cascade(
            message=message,
            require_ack=require_ack,
            strategy=strategy,
            filter=filter,
            sample=sample,
            seed=seed,
            timing=timing,
            window=said(window),
            at=at,
            percent=percent,
            dry_run=dry_run,
            timeout=said(timeout),
            quorum=quorum,
            expect=expect,
            priority=parse_priority(priority).name,
            approved=approved,
            detach=detach,
            key=key,
        )
        return await operations.cascade(self.client, checked(wanted))

    async def start_operation(
        self,
        what: str,
        *,
        message: str = "",
        filter: str = "",  # noqa: A002 - the word of every door
        sample: int = -1,
        seed: int = 0,
        timing: str = "",
        window: float | str = "",
        at: str = "",
        percent: float = 0.0,
        dry_run: bool = False,
        timeout: float | str = "",
        quorum: float = 0.0,
        expect: int = 0,
        ack: bool = False,
        strategy: str = "",
        priority: Priority | str | int = Priority.NORMAL,
        approved: bool = False,
        key: str = "",
        wait: float = 0.0,
    ) -> OperationView:
        """Begin any of the four by its name and wait at most so long. A sample of -1, a quorum of 0: as usual."""
        wanted = a.StartOne(
            what=what,
            message=message,
            filter=filter,
            sample=sample,
            seed=seed,
            timing=timing,
            window=said(window),
            at=at,
            percent=percent,
            dry_run=dry_run,
            timeout=said(timeout),
            quorum=quorum,
            expect=expect,
            ack=ack,
            strategy=strategy,
            priority=parse_priority(priority).name,
            approved=approved,
            key=key,
            wait_s=wait,
        )
        return await operations.start_operation(self.client, checked(wanted))

    async def operations(self, *, limit: int = 20) -> OperationList:
        """The newest first; `operation` has the whole of one."""
        return await operations.list_operations(self.client, checked(a.ListOperations(limit=limit)))

    async def operation(self, operation_id: str, *, agents: bool = False) -> OperationRecord:
        """One operation, with what came late; agents: and the state of every target. Raises UnknownOperation."""
        wanted = a.OneOperation(operation_id=operation_id, agents=agents)
        return await operations.get_operation(self.client, checked(wanted))

    async def wait_operation(self, operation_id: str, *, timeout: float = DEFAULT_WAIT_S) -> OperationView:
        """Return once it is decided. Raises UnknownOperation, ResultTimeout."""
        wanted = a.WaitOperation(operation_id=operation_id, wait_s=timeout)
        return await operations.wait_operation(self.client, checked(wanted))


def _names(capabilities: str | Sequence[str] | None) -> str:
    if capabilities is None or isinstance(capabilities, str):
        return capabilities or ""
    return ",".join(capabilities)


def checked(arguments: Arguments) -> Arguments:
    """As every other door checks them: a Struct that is made by hand does not look at its bounds."""
    return parse_arguments(type(arguments), msgspec.structs.asdict(arguments), strict=True)


def said(duration: float | str) -> str:
    """Seconds as the text that the verbs take."""
    return duration if isinstance(duration, str) else f"{duration * 1000:.0f}ms"
