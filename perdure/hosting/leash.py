"""Becomes a command that dies with the process that started it: `leash.py PARENT COMMAND…`.

A program of its own, because `preexec_fn` is unsafe in a process with threads. Only Linux can
bind two lives; elsewhere the command goes on, and the lock that it inherited gives it away.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the line above could bind us to it
        raise SystemExit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
