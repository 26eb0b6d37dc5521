"""What the built-in kinds of a worker may reach. Nothing, until whoever runs the worker says so: a task must not reach
through a worker what its submitter could not reach alone."""

from __future__ import annotations

from dataclasses import dataclass

ALLOW_OPTION = "allow"
ALLOW_HOST_OPTION = "allow-host"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlersConfig:
    """allow_modules: modules (and what is below them) that the kind `function` may call into.
    allow_hosts: hosts that the kind `http` may speak to; see handlers.allowed_hosts for how they are written."""

    allow_modules: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()

    def options(self) -> dict[str, tuple[str, ...]]:
        """As the loader takes them."""
        return {ALLOW_OPTION: self.allow_modules, ALLOW_HOST_OPTION: self.allow_hosts}
