"""Run as a script: become the server, tied to the life of the process that started us.

    python -I -S tether.py <pid of the parent> <descriptor of the server lock> <binary> <argument>...

Linux sends us SIGKILL when the thread that started us ends (prctl PR_SET_PDEATHSIG, kept over exec), so the parent
starts us from a thread that lives as long as it does. SIGKILL, because a server that was stopped would not act on
anything milder; JetStream writes before it acknowledges, so nothing acknowledged is lost. The parent may have died
before the call: then our parent is another one by now, and we leave. Elsewhere than on Linux the server survives a
parent that was killed; the next owner of its data directory ends it (`ownership.py`).
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def _tie() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def main(arguments: list[str]) -> None:
    parent, lock, binary = int(arguments[0]), int(arguments[1]), arguments[2]
    if sys.platform == "linux":
        _tie()
    if os.getppid() != parent:
        raise SystemExit("the process that wanted a server is gone already")
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # exec keeps the pid
    # Two programs of our own choosing, no shell.
    os.execv(binary, [binary, *arguments[3:]])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
