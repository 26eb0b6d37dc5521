"""The kind `function`: call an importable function named in the task, no @agent needed.

Whoever may submit a task chooses what runs, so a worker says where it may reach: only functions that are defined in an
allowed module (or below it) are called, none by default but `ohmesh.handlers.samples`, which the demo uses. The
function found must itself come from an allowed module, so that `allowed:os.system` leads nowhere.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from ohmesh.errors import ArgumentsRefused
from ohmesh.handlers.declaration import Declaration
from ohmesh.handlers.function_handler import FunctionHandler

ALWAYS_ALLOWED = ("ohmesh.handlers.samples",)
_TARGETS_MAX = 1024  # remembered functions; a worker that meets more looks them up anew


def function_handler(allowed: tuple[str, ...]) -> FunctionHandler:
    """The handler of kind `function` that may call into the modules of these prefixes."""
    finder = _Finder((*ALWAYS_ALLOWED, *allowed))

    def function(target: str, /, *arguments: Any, **keywords: Any) -> Any:
        return finder.find(target)(*arguments, **keywords)

    return FunctionHandler(function, Declaration("function"))


class _Finder:
    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._found: dict[str, Callable[..., Any]] = {}

    def find(self, target: str) -> Callable[..., Any]:
        function = self._found.get(target)
        if function is None:
            function = self._look_up(target)
            if len(self._found) >= _TARGETS_MAX:
                self._found.clear()
            self._found[target] = function
        return function

    def _look_up(self, target: str) -> Callable[..., Any]:
        module_name, _, path = target.partition(":")
        names = path.split(".")
        if not module_name or not all(name.isidentifier() and not name.startswith("_") for name in names):
            raise ArgumentsRefused(f"{target!r} does not name a function.", hint="Write module:function.")
        self._check(module_name, target)
        try:
            value: Any = importlib.import_module(module_name)
            for name in names:
                value = getattr(value, name)
        except (ImportError, AttributeError) as error:
            raise ArgumentsRefused(f"{target!r} was not found: {error}.") from error
        if not callable(value) or inspect.iscoroutinefunction(value):
            raise ArgumentsRefused(
                f"{target!r} is not a plain function.", hint="Put @agent on async code and name its kind."
            )
        self._check(str(getattr(value, "__module__", "")), target)
        return value  # type: ignore[no-any-return]

    def _check(self, module_name: str, target: str) -> None:
        if any(module_name == one or module_name.startswith(one + ".") for one in self._allowed):
            return
        raise ArgumentsRefused(
            f"{target!r} is not allowed here: it is defined in {module_name!r}.",
            hint=f"This worker allows {', '.join(self._allowed)}; start it with --allow and the module's name.",
        )
