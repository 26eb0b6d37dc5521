"""The kinds that come with ohmesh, and the libraries that some of them need: those are extras, which may be missing."""

from __future__ import annotations

import importlib.util

from ohmesh.errors import AgentDefinitionError

BUILT_IN = {
    "text": "ohmesh.handlers.text",
    "function": "ohmesh.handlers.function",
    "image": "ohmesh.handlers.image",
    "http": "ohmesh.handlers.http",
}
STARTED_WITH_A_MESH = ("text", "function", "image")  # `http` can do nothing before it is told which hosts
_LIBRARIES = {"http": "httpx2", "image": "cv2"}  # the extra has the kind's name


def kinds_at_hand() -> tuple[str, ...]:
    """What the workers of a new mesh do: of those kinds, all whose library is installed here."""
    return tuple(kind for kind in STARTED_WITH_A_MESH if is_at_hand(kind))


def is_at_hand(kind: str) -> bool:
    library = _LIBRARIES.get(kind)
    return library is None or is_installed(library)


def require_extra(kind: str) -> None:
    """AgentDefinitionError says what to install."""
    if not is_at_hand(kind):
        raise AgentDefinitionError(
            f"The kind {kind!r} needs {_LIBRARIES[kind]!r}, which is not installed here.",
            hint=f"Install it: {install_command(kind)}.",
        )


def install_command(extra: str) -> str:
    return f"pip install 'ohmesh[{extra}]'"


def is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None
