"""Children: kept alive with a bounded rate, refused when they refuse, ended when told. Real processes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ohmesh.assembly.children import LINE_BYTES_MAX, Child, ending, lines_of
from ohmesh.config import SupervisorConfig
from ohmesh.errors import EngineFailed
from tests.waiting import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]

QUICK = SupervisorConfig(
    respawn_delay_ms=10, respawn_delay_max_ms=40, settled_after_ms=60_000, stop_grace_ms=5_000
)


def child(folder: Path, *arguments: str, said: list[str]) -> Child:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment["OHMESH_DATA"] = str(folder / "none")
    return Child("it", arguments, environment=environment, config=QUICK, notice=said.append)


def test_one_that_refuses_its_arguments_is_not_started_again(tmp_path: Path, run: Run) -> None:
    async def scenario() -> None:
        said: list[str] = []
        refused = child(tmp_path, "worker", "text", "--name", "two words", said=said)
        refused.start()
        with pytest.raises(EngineFailed, match="two words"):
            await refused.ready()
        assert refused.deaths == 0
        await refused.stop()

    run(scenario())


def test_one_that_dies_is_started_again_after_a_growing_delay(tmp_path: Path, run: Run) -> None:
    async def scenario() -> None:
        said: list[str] = []
        dying = child(tmp_path, "node", "--name", "it", said=said)  # no mesh runs there
        dying.start()
        await eventually(lambda: dying.deaths >= 3, what=f"three deaths: {said}")
        await dying.stop()
        deaths = dying.deaths
        assert dying.pid == 0
        delays = [line for line in said if "started again in" in line]
        assert len(delays) == deaths
        assert delays[0].endswith("0.01 s")
        assert delays[1].endswith("0.02 s")
        assert any("No mesh runs" in line for line in said), "what it said is passed on"

    run(scenario())


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (-9, "was ended by SIGKILL"), (-250, "was ended by signal 250")],
)
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert ending(code) == words


def test_lines_are_whole_and_a_monstrous_one_is_cut(run: Run) -> None:
    async def scenario() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(b"one\ntwo\n" + b"x" * (2 * LINE_BYTES_MAX) + b"\nrest")
        stream.feed_eof()
        found = [line async for line in lines_of(stream)]
        assert found[:2] == ["one", "two"]
        assert found[-1] == "rest"
        assert "".join(found[2:-1]) == "x" * (2 * LINE_BYTES_MAX)
        assert max(map(len, found)) <= 2 * LINE_BYTES_MAX

    run(scenario())
