"""The one place where errors of nats-py and JetStream become ours."""

from __future__ import annotations

import asyncio

import nats.errors

from ohmesh.errors import (
    EngineError,
    EngineFailed,
    EngineUnavailable,
    InvalidArgument,
    NotAuthorised,
    OhmeshError,
    PayloadTooLarge,
)

LIBRARY_ERRORS = (nats.errors.Error, OSError, asyncio.TimeoutError)
"""What nats-py raises; asyncio.TimeoutError is one of them too."""

_REFUSED = ("authorization violation", "permissions violation", "authentication")
_AWAY = (
    nats.errors.TimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.NoServersError,
    nats.errors.StaleConnectionError,
    nats.errors.OutboundBufferLimitError,
    asyncio.TimeoutError,
    OSError,
)


def translated(error: BaseException, doing: str) -> OhmeshError:
    """Our error for what went wrong while `doing` (a clause: "connecting to nats://..."); ours pass unchanged."""
    if isinstance(error, OhmeshError):
        return error
    words = str(error) or type(error).__name__
    if isinstance(error, nats.errors.AuthorizationError) or any(part in words.lower() for part in _REFUSED):
        return NotAuthorised(
            f"The NATS server refused our credentials while {doing}: {words}.",
            hint="Use the seed file that this server's owner created, or the one its runtime file names.",
        )
    if isinstance(error, nats.errors.MaxPayloadError):
        return PayloadTooLarge(f"A message was above the server's max_payload while {doing}.")
    if isinstance(error, nats.errors.BadSubjectError | nats.errors.BadHeaderError):
        return InvalidArgument(f"A name cannot stand in a NATS subject: {words}, while {doing}.")
    if isinstance(error, _AWAY):
        return EngineUnavailable(
            f"The NATS server did not answer while {doing}: {words}.",
            hint="Nothing is known to have happened; try again once the server is back.",
        )
    return EngineFailed(f"NATS failed while {doing}: {words}.")


def unavailable(doing: str, reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"No connection to the NATS server while {doing}: {reason}.",
        hint="It is being reconnected; try again.",
    )


def refused_by_jetstream(doing: str, code: int, err_code: int, description: str) -> EngineError:
    """JetStream said no. 5xx are conditions that pass (no leader, no room, starting up); the rest are not."""
    words = f"JetStream refused {doing}: {description} (error {err_code})."
    if code >= 500:
        return EngineUnavailable(words, hint="Look at the server's log and disk if it goes on.")
    return EngineFailed(words)
