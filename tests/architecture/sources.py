"""The project's own files as the architecture tests see them: lists, syntax trees, and places to point at."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "ohmesh"
GENERATED = {
    "__pycache__",
    ".venv",
    ".hypothesis",
    ".import_linter_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}
GENERATED |= {"build", "dist", "PKG-INFO"}
CODE_FOLDERS = ("src", "tests", "benchmarks", "examples", "requirements")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def project_files() -> tuple[Path, ...]:
    """What git tracks, or would on the next `git add`; outside of a checkout, what a source distribution holds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    asked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if asked.returncode == 0:
        found = [ROOT / name for name in asked.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not is_generated(path)]
    return tuple(sorted(path for path in found if path.is_file()))


def is_generated(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part in GENERATED or part.endswith(".egg-info") for part in parts)


def python_files(*folders: str) -> Iterator[Path]:
    """Python files in these folders of the project (all code folders when none is named)."""
    wanted = [ROOT / folder for folder in folders or CODE_FOLDERS]
    for path in project_files():
        if path.suffix == ".py" and any(path.is_relative_to(folder) for folder in wanted):
            yield path


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def functions(path: Path) -> tuple[Function, ...]:
    return tuple(node for node in ast.walk(tree(path)) if isinstance(node, Function))


def place(path: Path, node: ast.AST | None = None) -> str:
    """`src/ohmesh/errors.py:12`, as editors and terminals understand it."""
    shown = path.relative_to(ROOT).as_posix()
    line = getattr(node, "lineno", 0)
    return f"{shown}:{line}" if line else shown


def module_name(path: Path) -> str:
    """`ohmesh.ports.log` for src/ohmesh/ports/log.py; a package is named without its `__init__`."""
    parts = list(path.relative_to(ROOT / "src").with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def listed(problems: list[str]) -> str:
    return "\n" + "\n".join(problems)
