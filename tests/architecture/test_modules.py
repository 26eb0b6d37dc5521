"""What the source is made of: documented packages, small ports, no file that nothing uses, reasons for dependencies."""

from __future__ import annotations

import ast
import re
import tomllib

from tests.architecture.sources import PACKAGE, ROOT, listed, module_name, place, python_files, tree

PORT_METHODS = range(3, 7)
# All that a role may see of time and of chance; a third method would be there for the count.
TWO_ARE_ENOUGH = {"Clock", "Entropy"}

# Started by name, not imported.
ENTRANCES = {"ohmesh", "ohmesh.__main__"}


def test_every_package_and_module_says_what_it_is() -> None:
    problems = [
        f"{place(path)}: no docstring; say the idea and its invariants"
        for path in python_files("src", "benchmarks")
        if ast.get_docstring(tree(path)) is None
    ]
    assert not problems, listed(problems)


def test_a_port_has_three_to_six_methods() -> None:
    problems = []
    for path in sorted((PACKAGE / "ports").glob("*.py")):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", ""):
                count = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
                if count not in PORT_METHODS and node.name not in TWO_ARE_ENOUGH:
                    problems.append(f"{place(path, node)}: {node.name} has {count} methods")
    assert not problems, listed(problems)


def test_every_port_module_holds_the_port_of_its_name() -> None:
    problems = [
        f"{place(path)}: no Protocol named like the module"
        for path in sorted((PACKAGE / "ports").glob("*.py"))
        if path.stem != "__init__"
        and not any(
            isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", "")
            for node in tree(path).body
        )
    ]
    assert not problems, listed(problems)


def test_every_module_is_used() -> None:
    used = set(ENTRANCES)
    for path in python_files("src"):
        used |= names_used(tree(path), by=module_name(path))
    for path in python_files("tests", "benchmarks", "examples"):
        # The simulator ships for users' tests, so tests count as its users.
        used |= {name for name in names_used(tree(path)) if name.startswith("ohmesh.simulator")}
    problems = [
        f"{place(path)}: nothing imports it; remove it or use it"
        for path in python_files("src")
        if path.stem != "__init__" and module_name(path) not in used
    ]
    assert not problems, listed(problems)


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    wanted = [*project["project"]["dependencies"]]
    for group in [
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]:
        wanted += group
    names = {re.split(r"[\s\[<>=!~;]", line)[0] for line in wanted}
    unexplained = sorted(name for name in names if f"`{name.lower()}`" not in explained)
    assert not unexplained, f"no reason in docs/dependencies.md for {unexplained}"


def names_used(module: ast.Module, *, by: str = "") -> set[str]:
    """Modules that a file imports or names in a string (lazy imports, `python -m`), itself not counted."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\bohmesh(?:\.\w+)+", node.value))
    return found - {by}
