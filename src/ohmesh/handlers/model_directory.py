"""The directory of a model, as `save_pretrained` writes it: looked at before any library is loaded.

Weights are never fetched. What looks like the name of a model on a hub is refused with what to do instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from ohmesh.errors import AgentDefinitionError
from ohmesh.handlers.built_in import install_command, is_installed

_LIBRARIES = ("transformers", "torch")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HOW = (
    "Give a directory that holds config.json, the weights and the tokenizer, as save_pretrained writes them"
)


def checked_directory(path: str) -> Path:
    """Where the model is. AgentDefinitionError when there is none, or nothing to load it with."""
    directory = Path(path).expanduser().absolute()
    if not directory.exists():
        looks = ", which looks like the name of a model on a hub" if _HUB_NAME.fullmatch(path) else ""
        raise AgentDefinitionError(
            f"There is no directory {str(directory)!r} (the text model is {path!r}{looks}); models are not downloaded.",
            hint=f"{_HOW}.",
        )
    if not directory.is_dir():
        raise AgentDefinitionError(f"The text model {str(directory)!r} is no directory.", hint=f"{_HOW}.")
    if not (directory / "config.json").is_file():
        raise AgentDefinitionError(
            f"The directory {str(directory)!r} holds no text model: config.json is missing.", hint=f"{_HOW}."
        )
    for library in _LIBRARIES:
        if not is_installed(library):
            raise AgentDefinitionError(
                f"A text model needs {library!r}, which is not installed here.",
                hint=f"Install it: {install_command('transformers')}.",
            )
    return directory
