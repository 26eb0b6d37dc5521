"""Every verb has every door: a command line, a method of AsyncMesh and of Mesh, and an address over HTTP where that is
installed. A verb that lacks one, or a parameter that a door does not take, fails here.
"""

from __future__ import annotations

import importlib.util
import inspect

import click
import pytest

from ohmesh.cli.verbs import command_of
from ohmesh.mesh import AsyncMesh, Mesh
from ohmesh.operations.command import Command
from ohmesh.operations.commands import COMMANDS

# Where Python has another name than `Command.method`: the shorter word, for what people write most.
METHODS = {
    "tasks list": "tasks",
    "tasks get": "get",
    "tasks wait": "wait",
    "webhooks list": "webhooks",
    "tasks stream": "stream",
    "tasks cancel": "cancel",
    "tasks retry": "retry",
    "queues list": "queues",
    "queues pause": "pause",
    "queues resume": "resume",
    "queues purge": "purge",
    "locks list": "locks",
    "locks release": "release_lock",
    "queues limit": "limit",
    "dlq list": "dead_letters",
    "dlq get": "dead_letter_details",
    "dlq replay": "replay",
    "dlq edit": "edit_dead_letter",
    "dlq purge": "purge_dead_letters",
    "history list": "history",
    "fleet status": "fleet",
    "conflicts list": "conflicts",
    "conflicts get": "conflict",
    "conflicts resolve": "resolve_conflict",
    "conflicts verify": "verify_conflicts",
    "fleet set-context": "set_context",
    "fleet merge-context": "merge_context",
    "fleet verify-context": "verify_context",
    "fleet sync-context": "sync_context",
    "fleet restore-context": "restore_context",
    "ops list": "operations",
    "ops get": "operation",
    "ops wait": "wait_operation",
    "ops start": "start_operation",
    "webhooks add": "add_webhook",
    "webhooks get": "webhook",
    "webhooks test": "test_webhook",
    "webhooks pause": "pause_webhook",
    "webhooks resume": "resume_webhook",
    "webhooks rotate": "rotate_webhook",
    "webhooks remove": "remove_webhook",
    "schedules add": "add_schedule",
    "schedules list": "schedules",
    "schedules get": "schedule",
    "schedules remove": "remove_schedule",
    "schedules pause": "pause_schedule",
    "schedules resume": "resume_schedule",
    "schedules run": "run_schedule",
}
# Parameters that Python says otherwise: a handle is awaited instead of `wait_s`, one task is asked for at a time, a
# stream is left instead of limited, what is not a keyword of ours is the task's own.
OTHERWISE: dict[str, dict[str, str | None]] = {
    "submit": {"wait": None, "named": None},
    "schedules add": {"named": None},
    "result": {"wait": "timeout"},
    "tasks get": {"task_ids": "task_id"},
    "tasks wait": {"wait": "timeout"},
    "ops wait": {"wait": "timeout"},
    "tasks stream": {"wait": None},
    "events": {"limit": None},
}

every_verb = pytest.mark.parametrize("verb", COMMANDS, ids=lambda verb: verb.name)


def method_of(verb: Command) -> str:
    return METHODS.get(verb.name, verb.method)


@every_verb
def test_a_verb_is_a_command(verb: Command) -> None:
    command = command_of(verb.words[0])
    for word in verb.words[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert not isinstance(command, click.Group)


@every_verb
@pytest.mark.parametrize("mesh", [AsyncMesh, Mesh])
def test_a_verb_is_a_method_with_the_same_parameters(verb: Command, mesh: type) -> None:
    taken = inspect.signature(getattr(mesh, method_of(verb))).parameters
    for parameter in verb.parameters():
        name = parameter.name.removesuffix("_s")
        expected = OTHERWISE.get(verb.name, {}).get(name, name)
        assert expected is None or expected in taken, f"{mesh.__name__}.{method_of(verb)} has no {expected!r}"


@every_verb
def test_a_verb_has_an_address_over_http(verb: Command) -> None:
    if importlib.util.find_spec("fastapi") is None:
        pytest.skip("the HTTP door is not installed")
    from ohmesh.api.routes import addresses

    assert verb.name in {address.verb.name for address in addresses(COMMANDS)}
