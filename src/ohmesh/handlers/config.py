"""What the built-in kinds of a worker work with and may reach. Nothing may be reached until whoever runs the worker
says so: a task must not reach through a worker what its submitter could not reach alone."""

from __future__ import annotations

from dataclasses import dataclass

ALLOW_OPTION = "allow"
ALLOW_HOST_OPTION = "allow-host"
TEXT_MODEL_OPTION = "text-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlersConfig:
    """allow_modules: modules (and what is below them) that the kind `function` may call into.
    allow_hosts: hosts that the kind `http` may speak to; see handlers.allowed_hosts for how they are written.
    text_model: directory of the model by which the kind `text` reads; "" is the lexicon."""

    allow_modules: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    text_model: str = ""

    def options(self) -> dict[str, tuple[str, ...]]:
        """As the loader takes them."""
        return {
            ALLOW_OPTION: self.allow_modules,
            ALLOW_HOST_OPTION: self.allow_hosts,
            TEXT_MODEL_OPTION: (self.text_model,) if self.text_model else (),
        }
