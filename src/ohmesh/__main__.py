"""`python -m ohmesh` and the console script `ohmesh`: both are the command line."""

from __future__ import annotations

import sys

from ohmesh.cli.application import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
