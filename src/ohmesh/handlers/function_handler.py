"""A function as a handler: payload in, value out, both MessagePack."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import msgspec

from ohmesh.errors import ResultRefused
from ohmesh.handlers.declaration import Declaration
from ohmesh.handlers.signature import Arguments
from ohmesh.model.agent import AgentSpec
from ohmesh.ports.handler import Manner, StreamMode

_encode = msgspec.msgpack.Encoder().encode


class FunctionHandler:
    """Implements ports.handler.Handler for a declared function."""

    def __init__(self, function: Callable[..., Any], declaration: Declaration) -> None:
        self._function = function
        self._declaration = declaration
        self._decode = Arguments(function, declaration.kind).decode
        is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        stream = StreamMode(declaration.stream or "keep") if is_generator else StreamMode.NONE
        self._manner = Manner(stream, declaration.retry_rule)
        self._is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)

    @property
    def spec(self) -> AgentSpec:
        return self._declaration.spec()

    @property
    def is_async(self) -> bool:
        return self._is_async

    @property
    def manner(self) -> Manner:
        return self._manner

    def invoke(self, payload: bytes) -> bytes:
        positional, keyword = self._decode(payload)
        return self._encoded(self._function(*positional, **keyword))

    async def invoke_async(self, payload: bytes) -> bytes:
        positional, keyword = self._decode(payload)
        return self._encoded(await self._function(*positional, **keyword))

    def items(self, payload: bytes) -> Generator[bytes] | AsyncGenerator[bytes]:
        return self._async_items(payload) if self._is_async else self._sync_items(payload)

    def _sync_items(self, payload: bytes) -> Generator[bytes]:
        positional, keyword = self._decode(payload)
        generator = self._function(*positional, **keyword)
        try:
            for item in generator:
                yield self._encoded(item)
        finally:
            generator.close()

    async def _async_items(self, payload: bytes) -> AsyncGenerator[bytes]:
        positional, keyword = self._decode(payload)
        generator = self._function(*positional, **keyword)
        try:
            async for item in generator:
                yield self._encoded(item)
        finally:
            await generator.aclose()

    def _encoded(self, value: object) -> bytes:
        try:
            return _encode(value)
        except Exception as error:  # noqa: BLE001 - objects encode themselves by code of their own
            if inspect.iscoroutine(value):
                value.close()
            raise ResultRefused(
                f"The result of {self._declaration.kind!r}, a {type(value).__qualname__}, cannot be stored: {error}.",
                hint="Return plain data: numbers, text, bytes, lists, dicts, dates, dataclasses or msgspec Structs.",
            ) from None
