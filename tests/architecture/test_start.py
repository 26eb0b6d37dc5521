"""What `import ohmesh` may load. Its time is measured by benchmarks/imports.py; here the cause is held."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.architecture.sources import ROOT

# Loaded where they are used: an engine, a columnar registry, a ledger, a loop, a handler.
HEAVY = {
    "asyncio",
    "click",
    "fastapi",
    "nacl",
    "nats",
    "nkeys",
    "numpy",
    "psycopg",
    "pydantic",
    "requests",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
    "vaderSentiment",
}


def test_importing_ohmesh_loads_nothing_heavy() -> None:
    loaded = modules_after("import ohmesh") & HEAVY
    assert not loaded, f"`import ohmesh` loads {sorted(loaded)}; import them where they are used"


def test_the_error_tree_loads_nothing_heavy() -> None:
    loaded = modules_after("import ohmesh.errors") & HEAVY
    assert not loaded, f"`import ohmesh.errors` loads {sorted(loaded)}"


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}
