"""In real runner processes the class of an error, known there only, decides whether its task is tried again."""

from __future__ import annotations

import asyncio

import pytest

from ohmesh.model.task import Outcome, OutcomeStatus
from tests.unit.runners.runner_harness import config, running

FAILED, PERMANENTLY = OutcomeStatus.FAILED, OutcomeStatus.FAILED_PERMANENTLY


def outcomes(agent: str, *calls: object) -> list[Outcome]:
    async def scenario() -> list[Outcome]:
        async with running(config(agent, sync_processes=1)) as host:
            return await host.ended(*(host.grant(agent, call) for call in calls))

    return asyncio.run(scenario())


@pytest.mark.parametrize("agent", ["choosy", "choosy_async"])
def test_named_classes_and_their_children_are_retried_or_given_up(agent: str) -> None:
    flaky, gone, value = outcomes(agent, "flaky", "gone", "value")
    assert (flaky.status, gone.status, value.status) == (FAILED, PERMANENTLY, PERMANENTLY)
    assert 2_000 <= flaky.retry_after_ms <= 4_000
    assert [one.failure.kind for one in (flaky, gone, value) if one.failure] == [
        "Flaky",
        "FileNotFoundError",
        "ValueError",
    ]


def test_what_is_not_named_is_retried_as_the_mesh_does_it() -> None:
    flaky, value = outcomes("lenient", "flaky", "value")
    assert (flaky.status, flaky.retry_after_ms, value.status) == (FAILED, -1, PERMANENTLY)


def test_arguments_that_do_not_fit_are_given_up_whatever_is_retried() -> None:
    (misfit,) = outcomes("choosy", 5)
    assert misfit.status is PERMANENTLY
    assert misfit.failure is not None
    assert misfit.failure.kind == "ArgumentsRefused"
