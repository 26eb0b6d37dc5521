"""How long does ohmesh take to start? `import ohmesh` and `ohmesh --help`, each in a new process.

Byte code is compiled first, as an installation has it. The time of an interpreter that imports nothing is given beside,
and subtracted from `import ohmesh` only. Medians; budgets are those of docs/STYLE.md.
"""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORT_BUDGET_MS = 150.0
HELP_BUDGET_MS = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=11, help="processes per figure (default 11)")
    arguments = parser.parse_args()
    compileall.compile_dir(ROOT / "src", quiet=2)
    figures = measure(arguments.runs)
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(f"import ohmesh   {figures['import_ms']:7.1f} ms   budget {IMPORT_BUDGET_MS:.0f}")
        print(f"ohmesh --help   {figures['help_ms']:7.1f} ms   budget {HELP_BUDGET_MS:.0f}")
        print(f"bare python     {figures['interpreter_ms']:7.1f} ms")
    return 0 if figures["within_budget"] else 1


def measure(runs: int) -> dict[str, object]:
    """Rounds take turns, so that a noisy moment of the machine falls on all three figures."""
    bare, imported, helped = [], [], []
    for _ in range(runs):
        bare.append(time_ms("-c", "pass"))
        imported.append(time_ms("-c", "import ohmesh"))
        helped.append(time_ms("-m", "ohmesh", "--help"))
    import_ms = statistics.median(imported) - statistics.median(bare)
    help_ms = statistics.median(helped)
    return {
        "import_ms": round(import_ms, 1),
        "help_ms": round(help_ms, 1),
        "interpreter_ms": round(statistics.median(bare), 1),
        "within_budget": import_ms < IMPORT_BUDGET_MS and help_ms < HELP_BUDGET_MS,
        "runs": runs,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
    }


def time_ms(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return asked.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
