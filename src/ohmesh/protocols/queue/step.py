"""A step: rows that are decided, and what may be told to whom once they are in the log.

Effects wait in the step of the row that they follow from; a driver appends the rows of one step as one frame and sends
its effects only when that append is resolved. A step that never gets there is dropped with its effects.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ohmesh.model.lock import LockAnswer
from ohmesh.model.message import Problem, Refusal
from ohmesh.model.task import Grant, TaskResult
from ohmesh.protocols.queue.rows import Row


@dataclass(slots=True)
class GrantBatch:
    """One Grants message to one host."""

    number: int
    grants: list[Grant] = field(default_factory=list)
    payload_bytes: int = 0


@dataclass(slots=True)
class ClientNews:
    """What one client hears from one step."""

    accepted: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    unserved: set[str] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    joined: list[tuple[str, str]] = field(default_factory=list)
    finished: list[TaskResult] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    too_late: list[str] = field(default_factory=list)
    not_cancellable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class HostNews:
    """What one host hears from one step. `instead_of` belongs to `enquire`."""

    grants: list[GrantBatch] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    revoked: list[int] = field(default_factory=list)
    enquire: bool = False
    instead_of: int = 0


@dataclass(slots=True)
class Step:
    """`size_bytes` bounds rows and news together. `replies`: (subject, frame) for those who asked, `answers` the
    same for those who asked about locks."""

    rows: list[Row] = field(default_factory=list)
    size_bytes: int = 0
    clients: dict[str, ClientNews] = field(default_factory=dict)
    hosts: dict[str, HostNews] = field(default_factory=dict)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    answers: list[tuple[str, LockAnswer | Problem]] = field(default_factory=list)

    def client(self, name: str) -> ClientNews:
        news = self.clients.get(name)
        if news is None:
            news = self.clients[name] = ClientNews()
        return news

    def host(self, name: str) -> HostNews:
        news = self.hosts.get(name)
        if news is None:
            news = self.hosts[name] = HostNews()
        return news

    def is_empty(self) -> bool:
        return not (self.rows or self.clients or self.hosts or self.replies or self.answers)
