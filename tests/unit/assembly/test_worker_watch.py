"""What is told of workers: comings and goings, once each."""

from __future__ import annotations

from ohmesh.assembly.worker_watch import news
from ohmesh.model.agent import Duty, HostView, Liveness


def host(name: str, liveness: Liveness = Liveness.ACTIVE) -> HostView:
    return HostView(name, liveness, Duty.READY, 1, 0, 4, 0, 0, ("text",))


def test_comings_goings_and_returns_are_told_and_nothing_else() -> None:
    known = {"a": Liveness.ACTIVE, "b": Liveness.ACTIVE, "c": Liveness.OFFLINE, "d": Liveness.ACTIVE}
    hosts = [host("a"), host("b", Liveness.OFFLINE), host("c"), host("e"), host("f", Liveness.OFFLINE)]
    assert news(known, hosts) == [
        "worker b is offline; 3 workers active",
        "worker c joined (text); 3 workers active",
        "worker e joined (text); 3 workers active",
        "worker d has left; 3 workers active",
    ]


def test_no_change_is_no_news() -> None:
    assert news({"a": Liveness.ACTIVE}, [host("a")]) == []
