"""What a mesh says of itself on its engine, once for all: how it is cut, and which mesh it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from ohmesh.assembly.connection import SHAPE_KEY, find_shape, publish_shape
from ohmesh.assembly.data_directory import Shape
from ohmesh.engines.memory.cluster import MemoryCluster
from ohmesh.errors import InvalidArgument

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_a_mesh_is_given_an_id_once_and_keeps_it(run: Run) -> None:
    async def scenario() -> None:
        first = await publish_shape(MemoryCluster().connect("one").state, Shape("mine", 2))
        state = MemoryCluster().connect("two").state
        second = await publish_shape(state, Shape("mine", 2))
        assert first.id
        assert second.id not in ("", first.id), "the same name does not make it the same mesh"
        assert await publish_shape(state, Shape("mine", 2)) == second
        assert await publish_shape(state, second) == await find_shape(state) == second

    run(scenario())


def test_the_data_of_another_mesh_of_the_same_name_are_refused(run: Run) -> None:
    async def scenario() -> None:
        state = MemoryCluster().connect("one").state
        there = await publish_shape(state, Shape("mine", 2))
        with pytest.raises(InvalidArgument, match=f"{there.id}, not a1"):
            await publish_shape(state, Shape("mine", 2, "a1"))
        with pytest.raises(InvalidArgument, match="started with 2 shard"):
            await publish_shape(state, Shape("mine", 3))
        assert await find_shape(state) == there

    run(scenario())


def test_a_mesh_of_an_older_version_is_given_the_id_of_its_data(run: Run) -> None:
    async def scenario() -> None:
        state = MemoryCluster().connect("one").state
        await state.put(SHAPE_KEY, msgspec.json.encode({"mesh": "mine", "shards": 2}))
        assert await publish_shape(state, Shape("mine", 2, "a1")) == Shape("mine", 2, "a1")
        assert await find_shape(state) == Shape("mine", 2, "a1")

    run(scenario())
