"""Each error of nats-py and JetStream has its place in our tree."""

from __future__ import annotations

import nats.errors
import pytest

from ohmesh.engines.nats.translation import refused_by_jetstream, translated
from ohmesh.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidArgument,
    NotAuthorised,
    OhmeshError,
    PayloadTooLarge,
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nats.errors.AuthorizationError(), NotAuthorised),
        (nats.errors.Error("nats: 'Authorization Violation'"), NotAuthorised),
        (nats.errors.Error("nats: permissions violation for publish to x"), NotAuthorised),
        (nats.errors.TimeoutError(), EngineUnavailable),
        (nats.errors.NoRespondersError(), EngineUnavailable),
        (nats.errors.ConnectionClosedError(), EngineUnavailable),
        (nats.errors.NoServersError(), EngineUnavailable),
        (TimeoutError(), EngineUnavailable),
        (ConnectionRefusedError(111, "Connection refused"), EngineUnavailable),
        (nats.errors.MaxPayloadError(), PayloadTooLarge),
        (nats.errors.BadSubjectError(), InvalidArgument),
        (nats.errors.ProtocolError(), EngineFailed),
    ],
)
def test_an_error_of_the_library_becomes_ours_and_says_what_was_done(
    theirs: Exception, ours: type[OhmeshError]
) -> None:
    error = translated(theirs, "doing this")
    assert type(error) is ours
    assert "doing this" in error.message


def test_our_own_errors_pass_unchanged() -> None:
    ours = EngineFailed("as it was")
    assert translated(ours, "anything") is ours


def test_what_passes_is_told_from_what_does_not() -> None:
    assert type(refused_by_jetstream("this", 503, 10008, "temporarily unavailable")) is EngineUnavailable
    assert type(refused_by_jetstream("this", 400, 10058, "stream name in use")) is EngineFailed
