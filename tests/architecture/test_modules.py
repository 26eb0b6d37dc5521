"""What the source is made of: documented packages, small ports, no file that nothing uses, reasons for dependencies."""

from __future__ import annotations

import ast
import re
import tomllib
from typing import Any

from tests.architecture.sources import PACKAGE, ROOT, listed, module_name, place, python_files, tree

PORT_METHODS = range(3, 7)
# All that a role may see of time and of chance; a third method would be there for the count.
TWO_ARE_ENOUGH = {"Clock", "Entropy", "Web"}

PURE = ("model", "protocols", "policies", "registry", "trust")
ADAPTERS = ("engines", "provisioners", "runners")
COMPOSERS = ("assembly", "simulator")

# Started by name, not imported.
ENTRANCES = {"ohmesh", "ohmesh.__main__"}


def test_every_package_and_module_says_what_it_is() -> None:
    problems = [
        f"{place(path)}: no docstring; say the idea and its invariants"
        for path in python_files("src", "benchmarks")
        if ast.get_docstring(tree(path)) is None
    ]
    assert not problems, listed(problems)


# The parts of the fleet (docs/decisions/0006) that stand before the roles which use them.
BUILT_AHEAD = (
    "ohmesh.model.trinary",
    "ohmesh.protocols.delivery",
    "ohmesh.protocols.arrival.autonomy",
    "ohmesh.protocols.consensus",
    "ohmesh.protocols.membership.coordinates",
    "ohmesh.protocols.membership.swim",
    "ohmesh.policies.reputation",
)


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
    unused = {
        module_name(path): place(path)
        for path in python_files("src")
        if path.stem != "__init__" and module_name(path) not in used
    }
    problems = [
        f"{where}: nothing imports it; remove it or use it"
        for name, where in unused.items()
        if not name.startswith(BUILT_AHEAD)
    ]
    assert not problems, listed(problems)
    stale = [name for name in BUILT_AHEAD if not any(module.startswith(name) for module in unused)]
    assert not stale, f"these are used by now, so BUILT_AHEAD need not name them: {stale}"


def test_the_contracts_name_every_component_that_they_are_about() -> None:
    """import-linter refuses names that do not exist yet, so a new component has to be added to its contract."""
    contracts = project_settings()["tool"]["importlinter"]["contracts"]
    by_type = {contract["type"]: contract for contract in contracts}
    expected = {
        "source_modules of the forbidden": (PURE, by_type["forbidden"]["source_modules"]),
        "protected_modules": (ADAPTERS, by_type["protected"]["protected_modules"]),
        "allowed_importers": (COMPOSERS, by_type["protected"]["allowed_importers"]),
    }
    problems = [
        f"pyproject.toml: ohmesh.{name} is missing in the {key} contract of import-linter"
        for key, (names, listed_modules) in expected.items()
        for name in names
        if exists(name) and f"ohmesh.{name}" not in listed_modules
    ]
    assert not problems, listed(problems)


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    project = project_settings()
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


def test_an_import_for_types_only_points_down_too() -> None:
    """import-linter does not look into `if TYPE_CHECKING`, so that a verb can name what it does not load."""
    ranks = layer_ranks()
    problems = [
        f"{place(path, node)}: for types only, and yet upwards; move the type down"
        for path in python_files("src")
        for node in type_only_imports(tree(path))
        for name in names_used(ast.Module([node], []))
        if is_upwards(module_name(path), name, ranks)
    ]
    assert not problems, listed(problems)


def project_settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def exists(component: str) -> bool:
    return (
        any(path.is_relative_to(PACKAGE / component) for path in python_files("src"))
        or (PACKAGE / f"{component}.py").exists()
    )


def layer_ranks() -> dict[str, int]:
    """Component of ohmesh to its height, the lowest being 0, from the contract that import-linter holds."""
    layers = project_settings()["tool"]["importlinter"]["contracts"][0]["layers"]
    return {
        name.strip(" ()"): height
        for height, layer in enumerate(reversed(layers))
        for name in layer.split("|")
    }


def type_only_imports(module: ast.Module) -> list[ast.stmt]:
    blocks = [node for node in ast.walk(module) if isinstance(node, ast.If)]
    return [node for block in blocks if "TYPE_CHECKING" in ast.dump(block.test) for node in block.body]


def is_upwards(importer: str, imported: str, ranks: dict[str, int]) -> bool:
    _, *source = importer.split(".")
    root, *target = imported.split(".")
    if root != "ohmesh" or not source or not target or source[0] == target[0]:
        return False
    return ranks.get(source[0], len(ranks)) <= ranks.get(target[0], 0)


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
