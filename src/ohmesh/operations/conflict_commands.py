"""The verbs about conflicts, as the list of all verbs has them."""

from __future__ import annotations

from ohmesh.operations.command import Command, Risk, Role, Scope

_ARGUMENTS = "ohmesh.operations.conflict_arguments:"
_RESULTS = "ohmesh.operations.conflict_results:"
_RUN = "ohmesh.operations.conflicts:"
_ID = "cf019dc3a1b2c300c0ffee"

CONFLICT_COMMANDS: tuple[Command, ...] = (
    Command(
        name="conflicts list",
        summary="List conflicts of the fleet, the most urgent first.",
        help="Those that are open; with --ended also those that are settled, from the log, which is kept for ever. "
        "docs/conflicts.md says what each type means and what settles it.",
        example="ohmesh conflicts list --type hash_mismatch --ended --since 1d",
        arguments=_ARGUMENTS + "ListConflicts",
        result=_RESULTS + "ConflictList",
        run=_RUN + "list_conflicts",
        scope=Scope.FLEET,
    ),
    Command(
        name="conflicts get",
        summary="Show one conflict: what contradicts what, who is blamed, and its story.",
        example=f"ohmesh conflicts get {_ID}",
        arguments=_ARGUMENTS + "OneConflict",
        result=_RESULTS + "ConflictView",
        run=_RUN + "get_conflict",
        scope=Scope.FLEET,
    ),
    Command(
        name="conflicts resolve",
        summary="Settle a conflict by hand: name what is right, release its agents, or discard what they said.",
        help="A winner is told to the agents that hold something else, as if the method had found it.",
        example=f"ohmesh conflicts resolve {_ID} --action released --reason 'checked by hand'",
        arguments=_ARGUMENTS + "ResolveConflict",
        result=_RESULTS + "ConflictView",
        run=_RUN + "resolve_conflict",
        risk=Risk.WRITE,
        idempotent=False,
        scope=Scope.FLEET,
        role=Role.OPERATOR,
    ),
    Command(
        name="conflicts verify",
        summary="Check that nobody has changed the log of conflicts.",
        help="Every entry holds the digest of the one before. Exit code 1 names the first one that is wrong.",
        example="ohmesh conflicts verify",
        arguments=_ARGUMENTS + "VerifyConflicts",
        result="ohmesh.model.conflict_request:ConflictLogState",
        run=_RUN + "verify_conflicts",
        scope=Scope.FLEET,
    ),
)
