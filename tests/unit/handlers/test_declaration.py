"""@agent, and what a payload must be to fit the function it stands on."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest

from ohmesh.errors import AgentDefinitionError, ArgumentsRefused, ResultRefused
from ohmesh.handlers.declaration import Declaration, agent, declaration_of
from ohmesh.handlers.function_handler import FunctionHandler
from ohmesh.model.agent import AgentSpec
from ohmesh.policies.failure import Backoff


@dataclass
class Point:
    x: int
    y: int = 0


class Hidden:
    pass


def call(function: Any, *positional: object, **keyword: object) -> Any:
    handler = FunctionHandler(function, Declaration("tried"))
    payload = msgspec.msgpack.encode([list(positional), keyword])
    if handler.is_async:
        return msgspec.msgpack.decode(asyncio.run(handler.invoke_async(payload)))
    return msgspec.msgpack.decode(handler.invoke(payload))


def test_the_decorated_function_is_the_function_itself() -> None:
    def plain(number: int) -> int:
        return number + 1

    decorated = agent(kind="other")(plain)
    assert decorated is plain
    assert decorated(1) == 2
    assert agent(plain) is plain


def test_an_async_function_stays_one() -> None:
    @agent
    async def wait() -> int:
        return 3

    assert inspect.iscoroutinefunction(wait)
    assert call(wait) == 3


def test_what_was_declared_is_announced() -> None:
    @agent(kind="image", capabilities=["gpu", "fast"], timeout=2.5, retries=3, slots=2)
    def resize() -> None: ...

    declaration = declaration_of(resize)
    assert declaration is not None
    assert declaration.spec() == AgentSpec("image", "image", ("gpu", "fast"), 2, 2500, 4)


def test_without_parentheses_the_name_is_the_kind_and_the_mesh_decides_the_rest() -> None:
    @agent
    def resize() -> None: ...

    declaration = declaration_of(resize)
    assert declaration is not None
    assert declaration.spec() == AgentSpec("resize", "resize", (), 0, 0, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"kind": "two words"}, "'two words'"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"timeout": True}, "timeout=True"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"slots": 0}, "slots=0"),
        ({"capabilities": "gpu"}, "capabilities='gpu'"),
        ({"capabilities": ("",)}, "capabilities=('',)"),
        ({"retry_on": "OSError"}, "retry_on='OSError'"),
        ({"give_up_on": (OSError, OSError("one"))}, "give_up_on="),
        ({"retry_on": OSError, "give_up_on": (OSError,)}, "OSError in retry_on and in give_up_on"),
        ({"backoff": 5}, "backoff=5"),
        ({"backoff": Backoff(base=2, cap=1)}, "backoff=Backoff(base=2"),
        ({"backoff": Backoff(base=float("nan"))}, "backoff=Backoff(base=nan"),
        ({"backoff": Backoff(multiplier=0.5)}, "multiplier=0.5"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_its_value(words: dict[str, Any], message: str) -> None:
    def plain() -> None: ...

    with pytest.raises(AgentDefinitionError) as caught:
        agent(**words)(plain)
    assert message in str(caught.value)


def test_only_plain_functions_can_be_agents() -> None:
    with pytest.raises(AgentDefinitionError, match="not a plain function"):
        agent(Hidden)


def test_arguments_take_the_types_of_the_hints() -> None:
    def take(
        point: Point, when: datetime, identity: UUID, *more: float, flag: bool = False, **rest: set[int]
    ) -> list[str]:
        return [type(one).__name__ for one in (point, when, identity, *more, flag, *rest.values())]

    found = call(
        take, {"x": 1}, datetime(2026, 1, 1, tzinfo=UTC), str(UUID(int=5)), 1, 2.5, flag=True, extra=[1, 1]
    )
    assert found == ["Point", "datetime", "UUID", "float", "float", "bool", "set"]


def test_results_may_be_dataclasses_dates_and_sets() -> None:
    def give() -> dict[str, object]:
        return {"point": Point(1, 2), "when": datetime(2026, 1, 1), "numbers": {1}}

    assert call(give) == {"point": {"x": 1, "y": 2}, "when": "2026-01-01T00:00:00", "numbers": [1]}


@pytest.mark.parametrize(
    ("positional", "keyword", "words"),
    [
        ((), {}, "missing a required argument: 'count'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"nmae": "x"}, "unexpected keyword argument 'nmae'"),
        ((1,), {"count": 2}, "multiple values for argument 'count'"),
        (("one",), {}, "'count'"),
        ((1, None), {}, "'name'"),
        ((1.5,), {}, "Expected `int`, got `float`"),
        ((0,), {}, ">= 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_parameter(
    positional: tuple[object, ...], keyword: dict[str, object], words: str
) -> None:
    def repeat(count: Annotated[int, msgspec.Meta(ge=1)], name: str = "x") -> str:
        return name * count

    with pytest.raises(ArgumentsRefused) as caught:
        call(repeat, *positional, **keyword)
    assert words in str(caught.value)


def test_a_required_keyword_is_asked_for() -> None:
    def take(first: int, *, second: int) -> int:
        return first + second

    assert call(take, 1, second=2) == 3
    with pytest.raises(ArgumentsRefused, match="'second'"):
        call(take, 1)


def test_hints_that_cannot_be_checked_let_values_through() -> None:
    def take(one: object, two: Any, three: int | Hidden, four) -> list[object]:  # type: ignore[no-untyped-def]
        return [one, two, three, four]

    assert call(take, 1, "2", 3.5, None) == [1, "2", 3.5, None]


def test_a_union_of_plain_types_is_checked() -> None:
    def take(value: str | bytes) -> str:
        return type(value).__name__

    assert (call(take, "x"), call(take, b"x")) == ("str", "bytes")
    with pytest.raises(ArgumentsRefused, match=r"Expected `str \| bytes`, got `int`"):
        call(take, 1)


def test_a_payload_that_is_not_a_call_is_refused() -> None:
    handler = FunctionHandler(lambda: 1, Declaration("tried"))
    for payload in (b"", b"\xc1", msgspec.msgpack.encode({"a": 1}), msgspec.msgpack.encode([1, 2])):
        with pytest.raises(ArgumentsRefused, match="MessagePack"):
            handler.invoke(payload)


@pytest.mark.parametrize("value", [Hidden(), {"deep": [Hidden()]}, 1 << 70, "\ud800"])
def test_a_result_that_cannot_be_stored_is_refused_with_its_type(value: object) -> None:
    with pytest.raises(ResultRefused, match=type(value).__qualname__):
        call(lambda: value)


def test_a_hint_that_cannot_be_resolved_is_an_error_of_the_definition() -> None:
    def take(value: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(AgentDefinitionError, match="Missing"):
        FunctionHandler(take, Declaration("tried"))
