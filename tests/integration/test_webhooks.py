"""Webhooks of a mesh as people run it: every event arrives, whoever is killed meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from tests.integration.running_mesh import Program, running_mesh
from tests.receiver import TAKEN, Answer, Received, receiver
from tests.waiting import wait_until


def process_at(up: Program, port: int) -> psutil.Process:
    """The one whose end of a connection has this port."""
    for process in up.children():
        if any(each.laddr and each.laddr.port == port for each in process.net_connections("tcp")):
            return process
    raise AssertionError(f"no process below {up.process.pid} has port {port}")


def test_every_event_arrives_though_the_node_that_tells_is_killed_in_mid_delivery(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    def answer(received: Received) -> Answer:
        if len(told.received) == 5:  # in mid-delivery: what was told is not known to be
            may_go_on.wait(60)
        return TAKEN

    with receiver() as told, running_mesh(tmp_path) as mesh:
        told.answer = answer
        up = mesh.up("--workers", "0")
        mesh.worker()
        secret_file = tmp_path / "secret"
        secret_file.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
        options = ("--types", "task.succeeded", "--allow-private", "--secret-file", str(secret_file))
        added = mesh.ask("webhooks", "add", told.url, *options)
        assert added["secret"] == ""
        items = [f"text {number}" for number in range(30)]
        outcomes = mesh.ask("map", "echo", *items)["outcomes"]
        wait_until(lambda: len(told.received) >= 5, what="five are told")
        holder = process_at(up, told.received[4].port)
        holder.kill()
        may_go_on.set()
        done = {one["task_id"] for one in outcomes}
        wait_until(lambda: {one.event["subject"] for one in told.received} >= done, what="all are told")
        assert all(one.is_signed_by(secret_file.read_text().strip()) for one in told.received)
        (listed,) = mesh.ask("webhooks", "list")["webhooks"]
        assert (listed["id"], listed["state"]) == (added["webhook"]["id"], "active")
        assert "MfKQ9r8" not in str(listed)


def test_a_webhook_that_fails_is_shown_with_the_reason_and_told_of_by_doctor(tmp_path: Path) -> None:
    with receiver() as told, running_mesh(tmp_path) as mesh:
        told.answer = lambda _received: (410, {})
        mesh.up("--workers", "0")
        refused = mesh.run("webhooks", "add", told.url)
        assert (refused.returncode, "--allow-private" in refused.stderr) == (2, True)
        added = mesh.run("webhooks", "add", told.url, "--allow-private")
        webhook_id, secret = added.stdout.split()
        test = mesh.run("webhooks", "test", webhook_id)
        assert (test.returncode, "410" in test.stderr) == (1, True)
        assert told.received[-1].is_signed_by(secret)
        mesh.worker()  # which is an event
        wait_until(
            lambda: mesh.ask("webhooks", "get", webhook_id)["state"] == "paused", what="it is paused for good"
        )
        assert "410" in mesh.run("webhooks").stderr
        assert "is paused: the receiver says" in mesh.run("doctor").stdout
        told.answer = lambda _received: TAKEN
        before = len(told.received)
        assert mesh.run("webhooks", "resume", webhook_id).returncode == 0
        wait_until(lambda: len(told.received) > before, what="it is told where it was")
        removed = mesh.run("webhooks", "remove", webhook_id, "--yes")
        assert removed.returncode == 0
        assert mesh.ask("webhooks", "list") == {"webhooks": []}
