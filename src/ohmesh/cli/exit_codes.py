"""What the exit code of a command says, and which error leads to which. Scripts rely on these numbers."""

from __future__ import annotations

from enum import IntEnum

from ohmesh import errors


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3  # some ended otherwise, late or silent
    NOTHING_MATCHED = 4
    NOT_CONFIRMED = 5
    UNREACHABLE = 6
    NOT_AUTHORISED = 7
    INTERRUPTED = 130


# The first entry whose class fits decides, so subclasses stand before their bases.
_BY_ERROR: tuple[tuple[type[errors.OhmeshError], ExitCode], ...] = (
    (errors.UnknownTask, ExitCode.NOTHING_MATCHED),
    (errors.UnknownSchedule, ExitCode.NOTHING_MATCHED),
    (errors.UnknownWebhook, ExitCode.NOTHING_MATCHED),
    (errors.UnknownKind, ExitCode.NOTHING_MATCHED),
    (errors.UnknownOperation, ExitCode.NOTHING_MATCHED),
    (errors.UnknownConflict, ExitCode.NOTHING_MATCHED),
    (errors.NoCapableAgentError, ExitCode.NOTHING_MATCHED),
    (errors.UsageError, ExitCode.USAGE),
    (errors.NotConfirmed, ExitCode.NOT_CONFIRMED),
    (errors.NotAuthorised, ExitCode.NOT_AUTHORISED),
    (errors.EngineUnavailable, ExitCode.UNREACHABLE),
    (errors.MeshUnreachable, ExitCode.UNREACHABLE),
    (errors.LockTimeout, ExitCode.PARTIAL),
    (errors.ResultTimeout, ExitCode.PARTIAL),
)


def exit_code_of(error: errors.OhmeshError) -> ExitCode:
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED
