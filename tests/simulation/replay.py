"""Run one seed of the task plane and print what came of it, the digest of the run last.

python -m tests.simulation.replay SEED [--patient | --scheduled | --sharded | --parked]
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "src")]

from tests.simulation.task_plane import PLANS, Plan, simulate  # noqa: E402  # needs the path above when run from a checkout


def main(seed: int, plan: Plan) -> None:
    report = simulate(seed, plan)
    story = report.result
    ends = ", ".join(f"{count} {state}" for state, count in sorted(Counter(story.ended.values()).items()))
    sys.stdout.write(
        f"seed {seed}: {story.submitted} tasks submitted; {ends}\n"
        f"{len(story.executions)} attempts, {report.steps} steps, {report.virtual_s:.1f} s of virtual time\n"
        f"digest {report.digest}\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), PLANS[sys.argv[2].removeprefix("--") if sys.argv[2:] else "plain"])
