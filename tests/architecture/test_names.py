"""Names of modules, entries of the root, and words that do not belong into any file of the project."""

from __future__ import annotations

import re

from tests.architecture.sources import ROOT, listed, place, project_files, python_files

# These say that things share a module, not what it holds.
VAGUE_MODULES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

ROOT_ENTRIES = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "docs",
    "examples",
    "pyproject.toml",
    "requirements",
    "src",
    "tests",
}

# The project installs from any index, so it names none; and no file knows the machine it was written on.
# Joined at run time: this file is searched too.
BANNED_TEXT = [
    re.compile(re.escape(host))
    for host in (
        "pypi" + ".org",
        "python" + "hosted.org",
        "npm" + "js.org",
        "npm" + "js.com",
        "yarn" + "pkg.com",
        "crates" + ".io",
        "proxy.golang" + ".org",
    )
] + [re.compile(r"(?<![\w.])/work" + r"/"), re.compile(r"(?<![\w.])/tmp" + r"/v/")]

# Written as two halves for the same reason.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")

TEXT_SUFFIXES = {
    "",
    ".cfg",
    ".css",
    ".html",
    ".js",
    ".json",
    ".md",
    ".py",
    ".sh",
    ".toml",
    ".ts",
    ".txt",
    ".yaml",
    ".yml",
}


def test_a_module_is_named_for_the_one_thing_it_holds() -> None:
    problems = [
        f"{place(path)}: '{name}' says nothing; name the one thing it holds"
        for path in python_files()
        for name in (path.parent.name if path.stem == "__init__" else path.stem,)
        if name in VAGUE_MODULES
    ]
    assert not problems, listed(problems)


def test_the_root_holds_only_what_belongs_there() -> None:
    entries = {path.relative_to(ROOT).parts[0] for path in project_files()}
    strange = sorted(entries - ROOT_ENTRIES)
    assert not strange, (
        f"new in the root: {strange}; find a folder for it, or extend ROOT_ENTRIES with a reason"
    )


def test_no_file_names_a_package_registry_or_the_machine_it_was_written_on() -> None:
    problems = []
    for path, number, line in lines_of_text():
        problems += [
            f"{path}:{number}: matches '{banned.pattern}'" for banned in BANNED_TEXT if banned.search(line)
        ]
    assert not problems, listed(problems)


def test_nothing_is_left_unfinished() -> None:
    problems = [
        f"{path}:{number}: {line.strip()}"
        for path, number, line in lines_of_text()
        if path.endswith(".py") and UNFINISHED.search(line)
    ]
    assert not problems, listed(problems)


def lines_of_text() -> list[tuple[str, int, str]]:
    found = []
    for path in project_files():
        if path.suffix in TEXT_SUFFIXES:
            text = path.read_text(encoding="utf-8")
            found += [(place(path), number, line) for number, line in enumerate(text.splitlines(), 1)]
    return found
