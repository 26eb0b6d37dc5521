"""Finding agents by name: `module:object`, `module`, or a built-in kind.

`load_handlers` is what a runner process is told to call (as `ohmesh.handlers.loading:load_handlers`). Each error says
what was looked for, why it was not found, and what to do; what user code raises while it is imported is reported with
the last line of its own traceback.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from ohmesh.errors import AgentDefinitionError, OhmeshError
from ohmesh.handlers.built_in import BUILT_IN, require_extra
from ohmesh.handlers.config import ALLOW_HOST_OPTION, ALLOW_OPTION, TEXT_MODEL_OPTION
from ohmesh.handlers.declaration import declaration_of
from ohmesh.handlers.function_handler import FunctionHandler


def load_handlers(targets: Sequence[str], options: Mapping[str, Sequence[str]]) -> list[FunctionHandler]:
    """All agents that `targets` name, in their order; their kinds differ. Raises AgentDefinitionError."""
    if not targets:
        raise AgentDefinitionError(
            "No agent was named.", hint=f"Give module:object, or a built-in kind: {', '.join(BUILT_IN)}."
        )
    found = [handler for target in targets for handler in _load_target(target, options)]
    _refuse_duplicates(found)
    return found


def handlers_of(agents: Sequence[str | Callable[..., object]]) -> list[FunctionHandler]:
    """Of functions that exist in this process already, and of targets as for `load_handlers`; their kinds differ."""
    found: list[FunctionHandler] = []
    for one in agents:
        if isinstance(one, str):
            found += _load_target(one, {})
        else:
            found.append(_handler(one, getattr(one, "__qualname__", repr(one))))
    _refuse_duplicates(found)
    return found


def load_agents(target: str) -> list[FunctionHandler]:
    """The agents at `module:object` (one, or a list, tuple or dict of them) or all that `module` declares."""
    module_name, colon, path = target.partition(":")
    module = _import_module(module_name, target)
    if colon and not path:
        raise AgentDefinitionError(
            f"{target!r} names no object.", hint="Write module:object, or the module alone."
        )
    functions = _named(module, path, target) if path else _declared_in(module)
    found = [_handler(function, target) for function in functions]
    if not found:
        raise AgentDefinitionError(f"{target!r} holds no agent.", hint="Put @agent on a function there.")
    _refuse_duplicates(found)
    return found


def _load_target(target: str, options: Mapping[str, Sequence[str]]) -> list[FunctionHandler]:
    if target not in BUILT_IN:
        return load_agents(target)
    require_extra(target)
    if target == "function":
        from ohmesh.handlers.function import function_handler

        return [function_handler(tuple(options.get(ALLOW_OPTION, ())))]
    if target == "http":
        from ohmesh.handlers.http import http_handler

        return [http_handler(tuple(options.get(ALLOW_HOST_OPTION, ())))]
    if target == "text":
        from ohmesh.handlers.text import text_handler

        return [text_handler(*options.get(TEXT_MODEL_OPTION, ()))]
    return load_agents(BUILT_IN[target])


def _import_module(name: str, target: str) -> ModuleType:
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.invalidate_caches()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise _import_failed(name, error) from error
        if name.endswith(".py"):
            raise AgentDefinitionError(
                f"{target!r} is a file, not a module.", hint=f"Drop .py: {target.replace('.py', '', 1)}"
            ) from None
        raise AgentDefinitionError(
            f"There is no module {error.name!r}, wanted by {target!r}.",
            hint=f"Run in the directory that holds it (here: {here}), or install it; write module:object.",
        ) from None
    except (ValueError, TypeError) as error:
        if name and not name.startswith("."):
            raise _import_failed(name, error) from error
        raise AgentDefinitionError(f"{target!r} names no module.", hint="Write module:object.") from None
    except BaseException as error:  # a module may raise anything, sys.exit() included
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: BaseException) -> AgentDefinitionError:
    if isinstance(error, OhmeshError):
        return AgentDefinitionError(f"Importing {name!r} failed: {error.message}", hint=error.hint)
    where = ""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename]
    if frames and frames[-1].filename != __file__:
        where = f" at {frames[-1].filename}:{frames[-1].lineno} ({frames[-1].line})"
    if isinstance(error, SyntaxError):
        where = f" at {error.filename}:{error.lineno} ({(error.text or '').strip()})"
    return AgentDefinitionError(
        f"Importing {name!r} raised {type(error).__name__}: {error}{where}.",
        hint=f"`python -c 'import {name}'` shows the whole traceback.",
    )


def _named(module: ModuleType, path: str, target: str) -> Iterable[object]:
    value: object = module
    for name in path.split("."):
        if not hasattr(value, name):
            declared = ", ".join(_agent_names(module)) or "none"
            raise AgentDefinitionError(
                f"Module {module.__name__!r} has no attribute {path!r}.",
                hint=f"Agents declared there: {declared}.",
            )
        value = getattr(value, name)
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list | tuple) else [value]


def _agent_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if declaration_of(value) is not None and getattr(value, "__module__", "") == module.__name__
    ]


def _declared_in(module: ModuleType) -> list[object]:
    unique = {id(getattr(module, name)): getattr(module, name) for name in _agent_names(module)}
    return list(unique.values())


def _handler(value: object, target: str) -> FunctionHandler:
    declaration = declaration_of(value)
    if declaration is None or not inspect.isfunction(value):
        raise AgentDefinitionError(
            f"{target!r} holds {value!r}, which is not an agent.",
            hint="Put @agent on the function: `from ohmesh import agent`.",
        )
    return FunctionHandler(value, declaration)


def _refuse_duplicates(handlers: Sequence[FunctionHandler]) -> None:
    seen: set[str] = set()
    for handler in handlers:
        kind = handler.spec.kind
        if kind in seen:
            raise AgentDefinitionError(
                f"Two agents have the kind {kind!r}.", hint="Give one of them another one: @agent(kind=...)."
            )
        seen.add(kind)
